import { formatDuration } from '../../wording.ts';

/** A time of day by the clock on the wall here. */
export function clockTime(time: number): string {
  const date = new Date(time);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** How long something has gone on that may go on for days: `42.0 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function formatUptime(uptime: number): string {
  if (uptime < 120_000) return formatDuration(uptime);
  const minutes = Math.floor(uptime / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}
