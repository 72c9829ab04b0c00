import type { PoolState, Tick } from '../wire.ts';
import { byId, element, isolated, say } from './dom.ts';
import { count, duration, labelOf, share } from './format.ts';
import { conditionOf, deadlocked, strangerOf } from './words.ts';

type Tone = 'calm' | 'busy' | 'warn' | 'bad';

interface Said {
  readonly tone: Tone;
  readonly value: string;
  /** Beside the value, smaller. */
  readonly unit: string;
  readonly note: string;
}

// A loop that is late by this much is felt by those who wait for an answer.
const late = 100;

/** What is the case now, at a glance. */
export class Gauges {
  readonly #cards = ['Leased', 'Waiting', 'Write lane', 'Idle', 'Event loop'].map((title) => card(title));
  readonly #word = element('span', 'word');
  readonly #meter = element('div', 'meter');

  constructor() {
    const [leased] = this.#cards;
    leased?.line.append(this.#word);
    leased?.box.append(this.#meter);
    byId('gauges', HTMLElement).append(...this.#cards.map(({ box }) => box));
  }

  update(pool: PoolState, ticks: readonly Tick[]): void {
    const { condition, words } = conditionOf(pool);
    say(this.#word, deadlocked(ticks, pool) ? `deadlock suspected, ${pool.waiting} waiting` : words);
    this.#word.dataset['condition'] = condition;
    this.#fill(pool, condition === 'full');
    const said = [leasedOf(pool, condition), waitingOf(pool), laneOf(pool), idleOf(pool), loopOf(ticks.at(-1))];
    for (const [index, { tone, value, unit, note }] of said.entries()) {
      const shown = this.#cards[index];
      if (shown === undefined) continue;
      shown.box.hidden = value === '';
      shown.box.dataset['tone'] = tone;
      say(shown.value, value);
      say(shown.unit, unit);
      say(shown.note, note);
      shown.note.title = note;
      shown.note.hidden = note === '';
    }
  }

  /** A box for each lease there may be; of very many, one stands for several. */
  #fill({ leased, max }: PoolState, full: boolean): void {
    const boxes = Math.max(1, Math.min(64, Math.max(max, leased)));
    const on = Math.round((leased / Math.max(max, leased, 1)) * boxes);
    while (this.#meter.childElementCount > boxes) this.#meter.lastElementChild?.remove();
    while (this.#meter.childElementCount < boxes) this.#meter.append(element('i'));
    for (const [index, box] of [...this.#meter.children].entries()) box.classList.toggle('on', index < on);
    this.#meter.classList.toggle('full', full);
    this.#meter.classList.toggle('many', boxes > 24);
  }
}

function card(title: string) {
  const box = element('div', 'gauge');
  const line = element('div', 'line');
  const strong = element('strong');
  const value = isolated('');
  const unit = element('small');
  const note = element('p');
  strong.append(value, ' ', unit);
  line.append(strong);
  box.append(element('h2', '', title), line, note);
  return { box, line, value, unit, note };
}

function leasedOf({ leased, max, size, full }: PoolState, condition: string): Said {
  const tone = condition === 'full' ? 'bad' : leased > 0 ? 'busy' : 'calm';
  // The connection of the write lane is leased without taking the place of another.
  const own = leased > max || (leased === max && !full);
  const note = size === 0 ? 'no connection is open' : '';
  return { tone, value: `${leased}`, unit: own ? `of ${max} + write lane` : `of ${max}`, note };
}

function waitingOf({ waiting, waiters, lane }: PoolState): Said {
  const longest = Math.max(0, ...waiters.filter((waiter) => waiter.for === 'connection').map(({ waited }) => waited));
  if (waiting > 0)
    return { tone: 'warn', value: `${waiting}`, unit: '', note: `for a connection, up to ${duration(longest)}` };
  const toWrite = lane?.waiting ?? 0;
  return toWrite === 0
    ? { tone: 'calm', value: '0', unit: '', note: 'nobody' }
    : { tone: 'warn', value: `${toWrite}`, unit: 'to write', note: 'nobody for a connection' };
}

function laneOf({ lane }: PoolState): Said {
  if (lane === undefined) return { tone: 'calm', value: '', unit: '', note: '' };
  const { holder, waiting } = lane;
  const tone = waiting > 0 ? 'warn' : 'busy';
  const asked = { tone, value: `${waiting}`, unit: 'waiting' } as const;
  if (holder === undefined)
    return waiting > 0
      ? { ...asked, note: 'nobody writes' }
      : { tone: 'calm', value: 'free', unit: '', note: 'nobody writes' };
  const who = holder.label === undefined ? holder.kind : labelOf(holder.label, 80);
  const where = holder.lease === undefined ? `${strangerOf(holder)}, ` : '';
  const age = duration(holder.age);
  return waiting > 0
    ? { ...asked, note: `held for ${age}: ${where}${who}` }
    : { tone, value: age, unit: 'held', note: `${where}${who}` };
}

function idleOf({ idle, size, min }: PoolState): Said {
  const kept = min > 0 ? `, ${min} kept` : '';
  return { tone: 'calm', value: `${idle}`, unit: '', note: `${count(size, 'connection')} open${kept}` };
}

function loopOf(tick: Tick | undefined): Said {
  if (tick === undefined) return { tone: 'calm', value: '–', unit: '', note: '' };
  const { delay, busy } = tick.loop;
  return { tone: delay > late ? 'warn' : 'calm', value: duration(delay), unit: 'late', note: `${share(busy)} busy` };
}
