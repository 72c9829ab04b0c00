// Made by `npm run page` from the sources in `page/`. Change those, not this.

/** The document, and the Content-Security-Policy it is to be served with: nothing else runs in it, or is loaded by it. */
export const page = {
  html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Leasehold</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%231f4fbf'/%3E%3Cpath d='M3 5h7M3 8h10M3 11h5' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E">
<style>:root{color-scheme:light dark;--ground: light-dark(#f3f5f8, #0e1217);--panel: light-dark(#ffffff, #161b22);--zebra: light-dark(#f8f9fb, #1a2028);--line: light-dark(#dfe4ea, #2a323d);--edge: light-dark(#7d8896, #6c7886);--ink: light-dark(#171c24, #e8ecf2);--muted: light-dark(#525d6b, #a0acba);--accent: light-dark(#1d4ed8, #8fb6ff);--held: light-dark(#bfd3f4, #2c4a76);--held-edge: light-dark(#6488c8, #6289c6);--held-ink: light-dark(#10244a, #e3edff);--rest: light-dark(#d8e4f8, #22385a);--write: light-dark(#1e4fc2, #7fb0ff);--write-ink: light-dark(#ffffff, #071327);--read: light-dark(#0f7f70, #45c4b0);--wait: light-dark(#b06d00, #e2a93b);--bad: light-dark(#b3261e, #ff8d80);--bad-ink: light-dark(#ffffff, #2a0502);--good: light-dark(#14703f, #63cf95);--grid: light-dark(#e9edf2, #222a34);font:14px / 1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;color:var(--ink);background:var(--ground)}
:root[data-theme=light]{color-scheme:light}
:root[data-theme=dark]{color-scheme:dark}
*{box-sizing:border-box}
body{margin:0;min-width:320px;font-variant-numeric:tabular-nums}
h1,h2,h3,p,ul{margin:0;padding:0}
h1{font-size:1.15rem;overflow-wrap:anywhere}
h2{font-size:1rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-999px;padding:8px 12px;background:var(--panel);color:var(--accent);z-index:5}
.skip:focus{left:8px;top:8px}
button{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--edge);border-radius:6px;padding:3px 12px;min-height:30px;cursor:pointer}
button:hover{background:var(--ground)}
button[aria-pressed=true],button[aria-current=true]{background:var(--write);color:var(--write-ink);border-color:var(--write)}
main{display:grid;gap:14px;padding:14px 20px 32px;max-width:2600px;margin:0 auto}
main>*{min-width:0}
.panel,.gauge{background:var(--panel);border:1px solid var(--line);border-radius:10px}
.panel{min-width:0;padding:12px 14px}
kbd{font:inherit;border:1px solid var(--edge);border-radius:3px;padding:0 4px}
summary{cursor:pointer;color:var(--accent)}
pre{margin:4px 0;padding:8px 10px;background:var(--ground);border-radius:6px;overflow:auto;max-height:260px;font:0.84rem / 1.45 ui-monospace,"SF Mono",Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
@media(max-width:620px){main{padding:10px 8px 24px;gap:10px}
.panel{padding:10px}
}
header{display:flex;flex-wrap:wrap;align-items:center;gap:8px 20px;padding:10px 20px;background:var(--panel);border-bottom:1px solid var(--line)}
.brand{display:flex;align-items:center;gap:9px;min-width:0}
.brand svg{flex:none}
.brand rect{fill:var(--write)}
.brand path{stroke:var(--write-ink);stroke-width:2;fill:none}
#process{color:var(--muted)}
#link{display:flex;align-items:center;gap:7px;margin-left:auto;font-weight:600}
#link::before{content:"";width:10px;height:10px;border:2px solid currentColor}
#link[data-kind=live]{color:var(--good)}
#link[data-kind=live]::before{border-radius:50%;background:currentColor}
#link[data-kind=polling]::before{border-radius:50%}
#link[data-kind=stale],#link[data-kind=failing],#link[data-kind=refused]{color:var(--bad)}
#link[data-kind=stale]::before,#link[data-kind=failing]::before,#link[data-kind=refused]::before{rotate:45deg;background:currentColor}
.actions{display:flex;gap:8px}
#pools{display:flex;gap:6px;overflow-x:auto;padding:3px}
#pools[hidden]{display:none}
#pools button{display:flex;align-items:center;gap:8px;white-space:nowrap;max-width:26ch}
#pools bdi{overflow:hidden;text-overflow:ellipsis}
#pools small{font-weight:600}
#trouble,.trouble{padding:10px 14px;background:var(--bad);color:var(--bad-ink);border-radius:8px;font-weight:600;overflow-wrap:anywhere}
@media(max-width:620px){header{padding:8px 12px;gap:6px 12px}
}
#gauges{display:flex;flex-wrap:wrap;gap:14px}
.gauge{flex:1 1 150px;padding:10px 14px;min-width:0;display:flex;flex-direction:column;gap:2px;border-left:4px solid var(--line)}
.gauge:first-child{flex:2 1 300px}
.gauge[hidden]{display:none}
.gauge h2{font-size:0.86rem;font-weight:600;color:var(--muted)}
.gauge strong{font-size:1.75rem;line-height:1.2;font-weight:650;letter-spacing:-0.01em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.gauge strong small{font-size:1rem;font-weight:500;color:var(--muted);letter-spacing:0}
.gauge p{color:var(--muted);line-height:1.3;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden;overflow-wrap:anywhere}
.gauge[data-tone=bad]{border-left-color:var(--bad)}
.gauge[data-tone=warn]{border-left-color:var(--wait)}
.gauge[data-tone=busy]{border-left-color:var(--write)}
.gauge .line{display:flex;align-items:baseline;gap:12px;min-width:0}
.word{border-radius:5px;padding:1px 9px;font-weight:650;border:1.5px solid currentColor;white-space:nowrap}
.word[data-condition=full]{background:var(--bad);color:var(--bad-ink);border-color:var(--bad)}
.word[data-condition=quiet]{color:var(--muted);border-style:dotted}
.word[data-condition=busy]{color:var(--good)}
.word[data-condition=closed]{color:var(--muted);border-style:dashed}
.meter{display:flex;gap:3px;height:12px;margin-top:6px}
.meter i{flex:1;min-width:1px;border:1px solid var(--edge);border-radius:2px}
.meter i.on{background:var(--write);border-color:var(--write)}
.meter.many{gap:1px}
.meter.many i{border-width:1px 0;border-radius:0}
.meter.full i.on{background:var(--bad);border-color:var(--bad)}
@media(max-width:1180px){#gauges{gap:10px}
.gauge:first-child{flex-basis:100%}
}
@media(max-width:620px){#gauges{gap:8px}
.gauge{flex-basis:40%;padding:8px 10px}
.gauge strong{font-size:1.35rem}
}
@media(forced-colors:active){.meter i.on{background:Highlight}
}
.bar{display:flex;flex-wrap:wrap;align-items:center;gap:6px 22px;margin-bottom:8px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;color:var(--muted);font-size:0.86rem}
.legend li::before{content:"";display:inline-block;width:18px;height:10px;margin-right:6px;border-radius:2px;vertical-align:-1px}
.key-held::before{background:var(--held)}
.key-write::before{background:var(--write)}
.key-read::before{background:linear-gradient(var(--held) 60%,var(--read) 60%)}
.key-wait::before{background:repeating-linear-gradient(135deg,var(--wait) 0 2px,transparent 2px 5px)}
.legend .key-note::before{width:9px;height:9px;border-radius:0;border:2px solid var(--bad);rotate:45deg}
.choice{display:flex;border:0;margin:0;padding:0;margin-left:auto}
.choice button{border-radius:0;margin-left:-1px;min-height:26px;padding:1px 10px}
.choice button:first-child{border-radius:6px 0 0 6px}
.choice button:last-child{border-radius:0 6px 6px 0}
.choice button:focus-visible{z-index:1}
.lanes{position:relative;overflow-x:hidden;overflow-y:auto;border-radius:4px;cursor:crosshair;touch-action:pan-y}
.lanes canvas{position:sticky;top:0;display:block;width:100%}
.hint{color:var(--muted);font-size:0.82rem;margin-top:6px}
#list{margin-top:6px}
#tip{position:fixed;left:0;top:0;z-index:4;max-width:min(420px,calc(100vw - 16px));padding:7px 10px;background:var(--ink);color:var(--panel);border-radius:6px;pointer-events:none;font-size:0.9rem;overflow-wrap:anywhere}
#tip strong{display:block}
@media(max-width:620px){.hint{display:none}
}
#trends{display:grid;grid-template-columns:repeat(4,1fr);gap:14px}
.chart{margin:0}
.chart .read{color:var(--muted);font-size:0.86rem;min-height:3em}
.chart .reading{white-space:nowrap;margin-right:8px}
.chart .read b{color:var(--ink);font-weight:600}
.chart svg{display:block;width:100%;height:120px;margin-top:6px;overflow:visible}
.chart .grid{stroke:var(--grid);stroke-width:1}
.chart text{fill:var(--muted);font-size:11px}
.chart path{fill:none;stroke:var(--write);stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.chart .line-1{stroke:var(--read);stroke-dasharray:5 3}
.chart .line-2{stroke:var(--wait);stroke-dasharray:1.5 3;stroke-width:2}
.chart .area{fill:var(--rest);stroke:none}
.chart .cursor{stroke:var(--ink);stroke-width:1}
.swatch{display:inline-block;width:16px;height:0;border-top:2.5px solid var(--write);vertical-align:4px;margin-right:4px}
.swatch-1{border-top-color:var(--read);border-top-style:dashed}
.swatch-2{border-top-color:var(--wait);border-top-style:dotted}
@media(max-width:1180px){#trends{grid-template-columns:1fr 1fr}
}
@media(max-width:620px){#trends{grid-template-columns:1fr}
}
.tables{display:grid;grid-template-columns:repeat(12,1fr);gap:14px;align-items:start}
.tables>section{grid-column:span 6}
.tables>.wide{grid-column:span 8}
.tables>.narrow{grid-column:span 4}
.scroll{overflow:auto;max-height:340px;margin-top:6px}
table{width:100%;border-collapse:collapse;font-size:0.9rem}
th{text-align:start;font-weight:600;color:var(--muted);padding:3px 8px 3px 0;position:sticky;top:0;background:var(--panel);white-space:nowrap}
td{padding:3px 8px 3px 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
td.number,th.number{text-align:end;white-space:nowrap}
td.label{min-width:13ch;overflow-wrap:anywhere}
td.words{min-width:12ch}
td.code{min-width:15ch;overflow-wrap:anywhere}
td.empty{color:var(--muted)}
td button{all:unset;cursor:pointer;color:var(--accent);text-decoration:underline;text-underline-offset:2px;overflow-wrap:anywhere}
td button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media(max-width:1180px){.tables>section[class]{grid-column:1 / -1}
}
@media(min-width:1900px){#tables-then>section[class]{grid-column:span 4}
}
dialog{width:min(760px,calc(100vw - 24px));max-height:calc(100vh - 40px);padding:16px 18px;color:var(--ink);background:var(--panel);border:1px solid var(--edge);border-radius:10px}
dialog::backdrop{background:rgb(0 0 0 / 0.45)}
dialog form{display:flex;align-items:start;gap:12px;justify-content:space-between}
dialog h2{overflow-wrap:anywhere;max-height:7em;overflow:auto}
dialog h3{font-size:0.9rem;margin-top:12px}
dialog dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:12px 0 0}
dialog dt{color:var(--muted)}
dialog dd{margin:0;overflow-wrap:anywhere}</style>
</head>
<body>
<a class="skip" href="#lanes">Skip to the lanes</a>
<header>
  <div class="brand">
    <svg viewBox="0 0 16 16" width="22" height="22" aria-hidden="true"><rect width="16" height="16" rx="3"/><path d="M3 5h7M3 8h10M3 11h5"/></svg>
    <h1 id="title">Leasehold</h1>
  </div>
  <nav id="pools" aria-label="Pools" hidden></nav>
  <p id="process"></p>
  <p id="link"></p>
  <p id="link-spoken" class="hidden" role="status"></p>
  <div class="actions">
    <button type="button" id="pause" aria-pressed="false">Pause</button>
    <button type="button" id="theme"></button>
  </div>
</header>
<main>
  <p id="trouble" role="alert" hidden></p>
  <section id="gauges" aria-label="Now"></section>
  <section class="panel" aria-labelledby="lanes-title">
    <div class="bar">
      <h2 id="lanes-title">Connections</h2>
      <ul class="legend" aria-label="Legend">
        <li class="key-held">lease</li>
        <li class="key-write">could write</li>
        <li class="key-read">read snapshot</li>
        <li class="key-wait">waited for</li>
        <li class="key-note">went wrong</li>
      </ul>
      <fieldset id="spans" class="choice" aria-label="Time shown"></fieldset>
    </div>
    <div id="lanes" class="lanes" tabindex="0" role="application" aria-roledescription="timeline" aria-label="Leases on each connection" aria-describedby="lanes-help"><canvas id="canvas"></canvas><div id="spacer"></div></div>
    <p id="lanes-help" class="hint">Arrow keys go from lease to lease, <kbd>Home</kbd> and <kbd>End</kbd> to the first and the last, <kbd>Enter</kbd> shows all of one, <kbd>Escape</kbd> lets go.</p>
    <p id="spoken" class="hidden" role="status" aria-live="polite"></p>
    <details id="list"><summary>The same as a table</summary><div class="scroll" id="list-table"></div></details>
  </section>
  <div id="tables-now" class="tables"></div>
  <section id="trends" aria-label="Trends"></section>
  <div id="tables-then" class="tables"></div>
</main>
<noscript><p class="trouble">This page needs JavaScript. The same as JSON is at <code>data</code>.</p></noscript>
<div id="tip" hidden></div>
<dialog id="detail" aria-labelledby="detail-title"><form method="dialog"><h2 id="detail-title">Lease</h2><button type="submit" id="detail-close">Close</button></form><div id="detail-body"></div></dialog>
<script>(() => {
  // address.ts
  function baseOf({ origin, pathname }) {
    return \`\${origin}\${pathname.replace(/\\/*$/, "/")}\`;
  }
  function dataAddress(base2, after) {
    return after === void 0 ? \`\${base2}data\` : \`\${base2}data?after=\${after.tick}&server=\${encodeURIComponent(after.server)}\`;
  }
  function leaseAddress(base2, pool, lease) {
    return \`\${base2}lease?pool=\${pool}&lease=\${lease}\`;
  }

  // animation.ts
  var Animation = class {
    #paint;
    #moving;
    #still = matchMedia("(prefers-reduced-motion: reduce)");
    #frame;
    constructor(paint, moving) {
      this.#paint = paint;
      this.#moving = moving;
      document.addEventListener("visibilitychange", () => this.draw());
      this.#still.addEventListener("change", () => this.draw());
    }
    /** Asks for a frame. A page that is hidden gets none, and is painted once it is seen. */
    draw() {
      if (this.#frame !== void 0 || document.hidden) return;
      this.#frame = requestAnimationFrame(() => {
        this.#frame = void 0;
        this.#paint();
        if (!this.#still.matches && this.#moving()) this.draw();
      });
    }
  };

  // browser.ts
  var patience = 1e4;
  var browser = {
    open(address, message, failure) {
      const source = new EventSource(address);
      source.addEventListener("report", (event) => message(event.data));
      source.addEventListener("error", () => failure(source.readyState === EventSource.CLOSED));
      return source;
    },
    get: (address) => fetch(address, { cache: "no-store", signal: AbortSignal.timeout(patience) }),
    after(delay, call) {
      const timer = setTimeout(call, delay);
      return () => clearTimeout(timer);
    }
  };

  // clock.ts
  var kept = 20;
  var easing = 0.05;
  var leap = 2e3;
  var ServerClock = class {
    #offsets = [];
    #offset;
    #asked = 0;
    /** \`server\` is the time of day that was told, \`local\` a time that only goes forward, as \`performance.now()\`. */
    sample(server, local) {
      const offset = server - local;
      if (this.#offset !== void 0 && Math.abs(offset - this.#target()) > leap) this.#offsets = [];
      this.#offsets.push(offset);
      if (this.#offsets.length > kept) this.#offsets.shift();
      if (this.#offset === void 0) {
        this.#offset = offset;
        this.#asked = local;
      }
    }
    /** \`undefined\` before the first sample. */
    now(local) {
      if (this.#offset === void 0) return void 0;
      const behind = this.#target() - this.#offset;
      const most3 = Math.max(0, local - this.#asked) * easing;
      this.#offset += Math.abs(behind) > leap ? behind : Math.max(-most3, Math.min(most3, behind));
      this.#asked = local;
      return local + this.#offset;
    }
    /** Another server has another clock. */
    forget() {
      this.#offsets = [];
      this.#offset = void 0;
    }
    #target() {
      return Math.max(...this.#offsets);
    }
  };
  function playhead(clock2, told, interval) {
    return Math.min(clock2 - interval - 200, told);
  }

  // dom.ts
  function byId(id, kind) {
    const found = document.getElementById(id);
    if (!(found instanceof kind)) throw new Error(\`page.html lacks "\${id}".\`);
    return found;
  }
  function element(name, className = "", text = "") {
    const made3 = document.createElement(name);
    if (className !== "") made3.className = className;
    if (text !== "") made3.textContent = text;
    return made3;
  }
  function svg(name, attributes = {}) {
    const made3 = document.createElementNS("http://www.w3.org/2000/svg", name);
    set(made3, attributes);
    return made3;
  }
  function set(target2, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (target2.getAttribute(name) !== String(value)) target2.setAttribute(name, String(value));
    }
  }
  function say(target2, text) {
    if (target2.textContent !== text) target2.textContent = text;
  }
  function isolated(text) {
    return element("bdi", "", text);
  }

  // format.ts
  var unprintable = /[\\p{Cc}\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]/gu;
  function oneLine(text, most3 = 120) {
    const cut = text.length > most3 ? \`\${text.slice(0, most3 - 1)}…\` : text;
    return cut.replace(unprintable, " ");
  }
  function labelOf(label, most3) {
    return label === void 0 || label === "" ? "no label" : oneLine(label, most3);
  }
  function duration(milliseconds) {
    const { abs, round } = Math;
    if (!Number.isFinite(milliseconds)) return "∞";
    const size = abs(milliseconds);
    if (size < 0.995) return \`\${Number(milliseconds.toFixed(2))} ms\`;
    if (size < 9.95) return \`\${Number(milliseconds.toFixed(1))} ms\`;
    if (size < 999.5) return \`\${round(milliseconds)} ms\`;
    if (size < 99950) return \`\${Number((milliseconds / 1e3).toFixed(1))} s\`;
    if (size < 5997e3) return \`\${Number((milliseconds / 6e4).toFixed(1))} min\`;
    return \`\${Number((milliseconds / 36e5).toFixed(1))} h\`;
  }
  function longDuration(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1e3));
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    if (hours >= 48) return \`\${Math.floor(hours / 24)} d \${hours % 24} h\`;
    if (hours > 0) return \`\${hours} h \${minutes % 60} min\`;
    return minutes > 0 ? \`\${minutes} min \${seconds % 60} s\` : \`\${seconds} s\`;
  }
  function count(number, noun, plural = \`\${noun}s\`) {
    return \`\${whole(number)} \${number === 1 ? noun : plural}\`;
  }
  function whole(number) {
    return String(Math.round(number)).replaceAll(/\\B(?=(?:\\d{3})+$)/g, " ");
  }
  function share(part) {
    return \`\${Math.round(Math.max(0, Math.min(1, part)) * 100)} %\`;
  }
  function clockTime(at) {
    const date = new Date(at);
    return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
  }
  function words(name) {
    return oneLine(name).replaceAll(/[A-Z]/g, (letter) => \` \${letter.toLowerCase()}\`);
  }

  // words.ts
  function conditionOf(pool) {
    if (pool.closed) return { condition: "closed", words: "closed" };
    if (pool.full) return { condition: "full", words: pool.waiting > 0 ? \`full, \${pool.waiting} waiting\` : "full" };
    if (pool.leased === 0) return { condition: "quiet", words: "quiet" };
    return { condition: "busy", words: \`\${Math.max(1, pool.max - pool.leased)} free\` };
  }
  function deadlocked(ticks, pool) {
    if (!pool.full || pool.waiting === 0) return false;
    for (const tick of ticks.toReversed()) {
      const part = tick.pools.find((each) => each.pool === pool.id);
      if (part?.notes.some(({ kind }) => kind === "deadlock") === true) return true;
      if (part === void 0 || part.released > 0) return false;
    }
    return false;
  }
  function spoken(item, now) {
    if (item.type === "rest") return restWords(item).join(", ");
    if (item.type === "queue") return queueWords(item).join(", ");
    if (item.type === "write") return writeWords(item, now).join(", ");
    if (item.type === "lease") {
      return [labelOf(item.label), \`connection \${item.connection}\`, ...heldWords(item, now), ...kindOf(item)].join(", ");
    }
    const { kind, label, at, message } = item.note;
    return \`\${kind}, \${labelOf(label)}, \${clockTime(at)}: \${oneLine(message, 300)}\`;
  }
  function writeWords(item, now) {
    const held = Number.isFinite(item.to) ? \`held \${duration(item.to - item.from)}\` : \`held for \${duration(Math.max(0, now - item.from))} so far\`;
    return [labelOf(item.label), item.stranger === void 0 ? "write lane" : strangerOf(item.stranger), held];
  }
  function queueWords({ waiting, laneWaiting, to }) {
    const lane = laneWaiting > 0 ? [\`\${laneWaiting} waiting for the write lane\`] : [];
    return [\`\${waiting} waiting for a connection\`, ...lane, clockTime(to)];
  }
  function heldWords(item, now) {
    const ended = Number.isFinite(item.to);
    const held = ended ? \`held \${duration(item.to - item.from)}\` : \`held for \${duration(Math.max(0, now - item.from))} so far\`;
    return [held, item.waited > 0 ? \`waited \${duration(item.waited)}\` : "did not wait"];
  }
  function kindOf({ writes, reads }) {
    const said = [];
    if (writes.length > 0) said.push(writes.length === 1 ? "write transaction" : \`\${writes.length} write transactions\`);
    if (reads.length > 0) said.push(reads.length === 1 ? "read snapshot" : \`\${reads.length} read snapshots\`);
    return said;
  }
  function placeOf(connection) {
    if (connection === void 0) return "write lane";
    return connection === 0 ? "other connections" : \`connection \${connection}\`;
  }
  function restWords({ rest, from, to }) {
    const tick = Math.max(1, to - from);
    const where = placeOf(rest.connection);
    const most3 = rest.label === void 0 ? [] : [\`mostly \${labelOf(rest.label, 60)}\`];
    const wrote = rest.wrote > 0 ? [\`could write for \${share(rest.wrote / tick)}\`] : [];
    const held = rest.connection === void 0 ? [] : [\`held for \${share(rest.held / tick)} of \${duration(tick)}\`];
    const waited = rest.waited > 0 ? [\`waited \${duration(rest.waited)} in all\`] : [];
    return [count(rest.leases, "short lease"), ...most3, where, ...held, ...wrote, ...waited];
  }
  function strangerOf(holder) {
    return \`\${holder.kind} of "\${oneLine(holder.pool, 60)}"\`;
  }
  function tip(item, now) {
    const at = clockTime(item.from);
    if (item.type === "rest") {
      const [title, ...lines2] = restWords(item);
      return { title: title ?? "", lines: lines2 };
    }
    if (item.type === "queue") return { title: "Queue", lines: queueWords(item) };
    if (item.type === "write") {
      const [title, ...lines2] = writeWords(item, now);
      return { title: title ?? "", lines: [at, ...lines2] };
    }
    if (item.type === "lease") {
      const where = \`lease \${item.lease}, connection \${item.connection}, \${at}\`;
      return { title: labelOf(item.label), lines: [where, heldWords(item, now).join(", "), ...kindOf(item)] };
    }
    const { kind, label, message } = item.note;
    return { title: kind, lines: [\`\${labelOf(label)}, \${at}\`, oneLine(message, 300)] };
  }
  function detailTimes(detail2, now) {
    const { from, to } = detail2;
    return to === void 0 ? { held: \`\${duration(Math.max(0, now - from))} so far\`, until: "held still" } : { held: duration(to - from), until: clockTime(to) };
  }

  // detail.ts
  var Detail = class {
    #dialog = byId("detail", HTMLDialogElement);
    #title = byId("detail-title", HTMLElement);
    #body = byId("detail-body", HTMLElement);
    #address;
    #asked = 0;
    constructor(address) {
      this.#address = address;
      this.#dialog.addEventListener("click", (event) => {
        if (event.target === this.#dialog) this.#dialog.close();
      });
    }
    async show(pool, lease, now) {
      const asked = ++this.#asked;
      say(this.#title, \`Lease \${lease}\`);
      this.#body.replaceChildren(element("p", "", "One moment …"));
      if (!this.#dialog.open) this.#dialog.showModal();
      const found = await this.#fetched(pool, lease);
      if (asked !== this.#asked) return;
      if (typeof found === "string") this.#body.replaceChildren(element("p", "", found));
      else this.#fill(found, now());
    }
    async #fetched(pool, lease) {
      try {
        const answer = await browser.get(this.#address(pool, lease));
        if (answer.status === 200) return JSON.parse(await answer.text());
        return answer.status === 404 ? "This lease is not known any more: only those of the last minute are, and the longest of the last ten." : \`The server answers with status \${answer.status}.\`;
      } catch {
        return "The server does not answer.";
      }
    }
    #fill(detail2, now) {
      this.#title.replaceChildren(isolated(labelOf(detail2.label, 2e3)));
      const { held, until } = detailTimes(detail2, now);
      const facts = [
        ["Lease", \`\${detail2.lease}\`],
        ["Connection", \`\${detail2.connection}\`],
        ["Scope", detail2.scope === void 0 ? "none" : \`\${detail2.scope}\`],
        ["Began", clockTime(detail2.from)],
        ["Ended", until],
        ["Held", held],
        ["Waited for", duration(detail2.waited)],
        ["Could write", spansOf(detail2.writes, detail2.from)],
        ["Read snapshots", spansOf(detail2.reads, detail2.from)]
      ];
      const list2 = element("dl");
      for (const [name, value] of facts) list2.append(element("dt", "", name), element("dd", "", value));
      const parts = [list2];
      if (detail2.notes.length > 0) parts.push(element("h3", "", "What went wrong"), ...detail2.notes.map(noteOf));
      if (detail2.sql !== void 0) parts.push(element("h3", "", "Last statement"), element("pre", "", detail2.sql));
      if (detail2.stack !== void 0) parts.push(element("h3", "", "Acquired at"), element("pre", "", detail2.stack));
      this.#body.replaceChildren(...parts);
    }
  };
  function noteOf({ at, kind, message }) {
    return element("pre", "", \`\${clockTime(at)}  \${oneLine(kind, 40)}
\${message}\`);
  }
  function spansOf(spans2, from) {
    if (spans2.length === 0) return "never";
    return spans2.map(([begin, end]) => \`\${duration(end - begin)} after \${duration(Math.max(0, begin - from))}\`).join(", ");
  }

  // gauges.ts
  var late = 100;
  var Gauges = class {
    #cards = ["Leased", "Waiting", "Write lane", "Idle", "Event loop"].map((title) => card(title));
    #word = element("span", "word");
    #meter = element("div", "meter");
    constructor() {
      const [leased] = this.#cards;
      leased?.line.append(this.#word);
      leased?.box.append(this.#meter);
      byId("gauges", HTMLElement).append(...this.#cards.map(({ box }) => box));
    }
    update(pool, ticks) {
      const { condition, words: words2 } = conditionOf(pool);
      say(this.#word, deadlocked(ticks, pool) ? \`deadlock suspected, \${pool.waiting} waiting\` : words2);
      this.#word.dataset["condition"] = condition;
      this.#fill(pool, condition === "full");
      const said = [leasedOf(pool, condition), waitingOf(pool), laneOf(pool), idleOf(pool), loopOf(ticks.at(-1))];
      for (const [index, { tone, value, unit, note }] of said.entries()) {
        const shown = this.#cards[index];
        if (shown === void 0) continue;
        shown.box.hidden = value === "";
        shown.box.dataset["tone"] = tone;
        say(shown.value, value);
        say(shown.unit, unit);
        say(shown.note, note);
        shown.note.title = note;
        shown.note.hidden = note === "";
      }
    }
    /** A box for each lease there may be; of very many, one stands for several. */
    #fill({ leased, max }, full) {
      const boxes = Math.max(1, Math.min(64, Math.max(max, leased)));
      const on = Math.round(leased / Math.max(max, leased, 1) * boxes);
      while (this.#meter.childElementCount > boxes) this.#meter.lastElementChild?.remove();
      while (this.#meter.childElementCount < boxes) this.#meter.append(element("i"));
      for (const [index, box] of [...this.#meter.children].entries()) box.classList.toggle("on", index < on);
      this.#meter.classList.toggle("full", full);
      this.#meter.classList.toggle("many", boxes > 24);
    }
  };
  function card(title) {
    const box = element("div", "gauge");
    const line = element("div", "line");
    const strong = element("strong");
    const value = isolated("");
    const unit = element("small");
    const note = element("p");
    strong.append(value, " ", unit);
    line.append(strong);
    box.append(element("h2", "", title), line, note);
    return { box, line, value, unit, note };
  }
  function leasedOf({ leased, max, size, full }, condition) {
    const tone = condition === "full" ? "bad" : leased > 0 ? "busy" : "calm";
    const own = leased > max || leased === max && !full;
    const note = size === 0 ? "no connection is open" : "";
    return { tone, value: \`\${leased}\`, unit: own ? \`of \${max} + write lane\` : \`of \${max}\`, note };
  }
  function waitingOf({ waiting, waiters, lane }) {
    const longest2 = Math.max(0, ...waiters.filter((waiter) => waiter.for === "connection").map(({ waited }) => waited));
    if (waiting > 0)
      return { tone: "warn", value: \`\${waiting}\`, unit: "", note: \`for a connection, up to \${duration(longest2)}\` };
    const toWrite = lane?.waiting ?? 0;
    return toWrite === 0 ? { tone: "calm", value: "0", unit: "", note: "nobody" } : { tone: "warn", value: \`\${toWrite}\`, unit: "to write", note: "nobody for a connection" };
  }
  function laneOf({ lane }) {
    if (lane === void 0) return { tone: "calm", value: "", unit: "", note: "" };
    const { holder, waiting } = lane;
    const tone = waiting > 0 ? "warn" : "busy";
    const asked = { tone, value: \`\${waiting}\`, unit: "waiting" };
    if (holder === void 0)
      return waiting > 0 ? { ...asked, note: "nobody writes" } : { tone: "calm", value: "free", unit: "", note: "nobody writes" };
    const who = holder.label === void 0 ? holder.kind : labelOf(holder.label, 80);
    const where = holder.lease === void 0 ? \`\${strangerOf(holder)}, \` : "";
    const age = duration(holder.age);
    return waiting > 0 ? { ...asked, note: \`held for \${age}: \${where}\${who}\` } : { tone, value: age, unit: "held", note: \`\${where}\${who}\` };
  }
  function idleOf({ idle, size, min }) {
    const kept3 = min > 0 ? \`, \${min} kept\` : "";
    return { tone: "calm", value: \`\${idle}\`, unit: "", note: \`\${count(size, "connection")} open\${kept3}\` };
  }
  function loopOf(tick) {
    if (tick === void 0) return { tone: "calm", value: "–", unit: "", note: "" };
    const { delay, busy } = tick.loop;
    return { tone: delay > late ? "warn" : "calm", value: duration(delay), unit: "late", note: \`\${share(busy)} busy\` };
  }

  // header.ts
  var Header = class {
    #pools = byId("pools", HTMLElement);
    #choose;
    #ids = "";
    constructor(choose) {
      this.#choose = choose;
    }
    update(server, pools, shown) {
      const name = oneLine(shown.name);
      say(byId("title", HTMLElement), pools.length > 1 ? "Leasehold" : name);
      const { words: words2 } = conditionOf(shown);
      document.title = \`\${name}: \${shown.leased} of \${shown.max}, \${words2}\`;
      say(
        byId("process", HTMLElement),
        \`pid \${server.pid} · node \${oneLine(server.node, 30)} · up \${longDuration(server.uptime)}\`
      );
      this.#pools.hidden = pools.length < 2;
      const ids = [server.id, ...pools.map(({ id, name: each }) => \`\${id} \${each}\`)].join();
      if (ids !== this.#ids) {
        this.#ids = ids;
        this.#pools.replaceChildren(...pools.map((pool) => this.#button(pool)));
      }
      for (const [index, pool] of pools.entries()) {
        const button = this.#pools.children[index];
        const state = button?.lastElementChild;
        if (button === void 0 || state === void 0 || state === null) continue;
        if (pool.id === shown.id) button.setAttribute("aria-current", "true");
        else button.removeAttribute("aria-current");
        say(state, pool.closed ? "closed" : \`\${pool.leased}/\${pool.max}\${pool.full ? " full" : ""}\`);
      }
    }
    #button({ id, name }) {
      const button = element("button");
      button.type = "button";
      button.append(isolated(oneLine(name, 60)), element("small"));
      button.addEventListener("click", () => this.#choose(id));
      return button;
    }
  };
  function showLink(link2, silent2, closed) {
    const place = byId("link", HTMLElement);
    const trouble = byId("trouble", HTMLElement);
    const failed = link2.kind === "refused" || link2.kind === "failing";
    const stale = silent2 !== void 0 && silent2 >= 3e3;
    place.dataset["kind"] = failed ? link2.kind : stale ? "stale" : closed ? "closed" : link2.kind;
    const silence = stale ? [\`stale for \${Math.floor(silent2 / 1e3)} s\`] : [];
    const fine = stale ? [] : closed ? ["pool closed"] : [link2.kind];
    say(place, [...failed ? [link2.kind] : fine, ...silence].join(", "));
    say(byId("link-spoken", HTMLElement), stale ? "stale" : fine[0] ?? "");
    trouble.hidden = !failed;
    say(trouble, failed ? link2.words : "");
  }

  // strangers.ts
  var slack = 50;
  var most = 1e3;
  function strangersSeen(known3, report) {
    const { now, window } = report.server;
    return new Map(
      report.pools.map((pool) => {
        const spans2 = (known3.get(pool.id) ?? []).filter((span) => span.to >= now - window).slice(-most);
        const holder = pool.lane?.holder;
        return [pool.id, holder === void 0 || holder.lease !== void 0 ? spans2 : withHolder(spans2, holder, now)];
      })
    );
  }
  function withHolder(spans2, holder, now) {
    const from = now - holder.age;
    const last = spans2.at(-1);
    const same = last !== void 0 && Math.abs(last.from - from) <= slack && last.holder.pool === holder.pool;
    return same ? [...spans2.slice(0, -1), { from: last.from, to: now, holder }] : [...spans2, { from, to: now, holder }];
  }

  // store.ts
  var trendWindow = 6e5;
  var mostTicks = 2400;
  var mostParts = 8e4;
  var mostTrends = 2e4;
  function apply(view2, report) {
    if (report.complete) return { view: pruned(begun(view2, report)), incomplete: false };
    if (view2 === void 0 || view2.server.id !== report.server.id) return { view: view2, incomplete: true };
    const last = view2.ticks.at(-1)?.number;
    const fresh = last === void 0 ? report.ticks : report.ticks.filter((tick) => tick.number > last);
    if (fresh.length === 0 && report.server.now < view2.server.now) return { view: view2, incomplete: false };
    if (last !== void 0 && fresh[0] !== void 0 && fresh[0].number !== last + 1) return { view: view2, incomplete: true };
    const { epoch } = view2;
    const trends2 = [...view2.trends, ...report.trends.filter((trend) => !known(view2.trends, trend))];
    const strangers = strangersSeen(view2.strangers, report);
    const { server, pools } = report;
    return {
      view: pruned({ epoch, server, pools, ticks: [...view2.ticks, ...fresh], trends: trends2, strangers }),
      incomplete: false
    };
  }
  function begun(former, report) {
    const same = former?.server.id === report.server.id;
    const { server, ticks, trends: trends2, pools } = report;
    const strangers = strangersSeen(same ? former.strangers : /* @__PURE__ */ new Map(), report);
    return { epoch: (former?.epoch ?? 0) + 1, server, ticks, trends: trends2, pools, strangers };
  }
  function known(trends2, trend) {
    const last = trends2.findLast(({ pool }) => pool === trend.pool);
    return last !== void 0 && last.at >= trend.at;
  }
  function pruned(view2) {
    const { now, window } = view2.server;
    let first = view2.ticks.findIndex((tick) => tick.at >= now - window);
    if (first === -1) first = view2.ticks.length;
    first = Math.max(first, view2.ticks.length - mostTicks);
    let size = 0;
    for (let index = view2.ticks.length - 1; index >= first; index--) {
      size += sizeOf(view2.ticks[index]);
      if (size > mostParts) first = index + 1;
    }
    const trends2 = view2.trends.filter((trend) => trend.at >= now - trendWindow).slice(-mostTrends);
    return { ...view2, ticks: view2.ticks.slice(first), trends: trends2 };
  }
  function sizeOf(tick) {
    const sizes = tick?.pools.map(({ bars, rest, notes }) => bars.length + rest.length + notes.length) ?? [];
    return sizes.reduce((sum, size) => sum + size, 0);
  }
  function read(message) {
    if (typeof message !== "object" || message === null || !("protocol" in message)) return "unreadable";
    if (message.protocol !== 1) return "protocol";
    const { server, ticks, trends: trends2, pools } = message;
    const whole2 = Array.isArray(ticks) && Array.isArray(trends2) && Array.isArray(pools) && typeof server?.now === "number";
    return whole2 ? message : "unreadable";
  }

  // link.ts
  var pollEvery = 1e3;
  var pollFailed = 3e3;
  var retryEvery = 15e3;
  var patience2 = 5e3;
  var Link = class {
    #base;
    #around;
    #reader;
    #feed;
    #isRunning = false;
    #failures = 0;
    #polling = false;
    #asking = false;
    #timers = /* @__PURE__ */ new Map();
    constructor(base2, around, reader) {
      this.#base = base2;
      this.#around = around;
      this.#reader = reader;
    }
    /** Begins, or goes on where it was stopped; nothing where it goes on already. */
    start() {
      if (this.#isRunning) return;
      this.#isRunning = true;
      this.#failures = 0;
      this.#reader.state({ kind: "connecting" });
      this.#listen();
    }
    stop() {
      this.#unlisten();
      for (const timer of this.#timers.keys()) this.#end(timer);
      this.#polling = false;
      this.#isRunning = false;
    }
    /** Asks for a complete report, once, however often it is asked to. */
    complete() {
      void this.#ask(void 0);
    }
    #listen() {
      this.#time("patience", patience2, () => this.#poll());
      this.#feed = this.#around.open(
        \`\${this.#base}events\`,
        (data) => this.#heard(data),
        (final) => {
          this.#failures++;
          if (final || this.#failures >= 2 || this.#polling) this.#poll();
        }
      );
    }
    #unlisten() {
      this.#feed?.close();
      this.#feed = void 0;
      this.#end("patience");
    }
    #heard(data) {
      this.#failures = 0;
      this.#time("patience", patience2, () => this.#poll());
      this.#polling = false;
      this.#end("poll");
      if (this.#took(data)) this.#reader.state({ kind: "live" });
    }
    /** Turns to asking, and to trying events again from time to time. */
    #poll() {
      this.#unlisten();
      this.#time("retry", retryEvery, () => this.#listen());
      if (this.#polling) return;
      this.#polling = true;
      void this.#round();
    }
    async #round() {
      const answered = await this.#ask(this.#reader.known());
      if (this.#polling) this.#time("poll", answered ? pollEvery : pollFailed, () => void this.#round());
    }
    async #ask(after) {
      if (this.#asking) return true;
      this.#asking = true;
      try {
        const answer = await this.#around.get(dataAddress(this.#base, after));
        const text = await answer.text();
        if (answer.status !== 200) this.#reader.state(refusal(answer.status));
        else if (this.#took(text)) {
          if (this.#polling) this.#reader.state({ kind: "polling" });
          return true;
        }
      } catch {
        this.#reader.state({ kind: "failing", words: "The server does not answer." });
      } finally {
        this.#asking = false;
      }
      return false;
    }
    #took(text) {
      const report = read(parsed(text));
      if (report === "protocol") {
        this.stop();
        this.#reader.state({
          kind: "refused",
          words: "The server tells its data in another version than this page reads. Load the page again."
        });
      } else if (report === "unreadable") {
        this.#reader.state({ kind: "failing", words: "What the server answers is no report." });
      } else {
        this.#reader.take(report);
        return true;
      }
      return false;
    }
    #time(timer, delay, call) {
      this.#end(timer);
      this.#timers.set(timer, this.#around.after(delay, call));
    }
    #end(timer) {
      this.#timers.get(timer)?.();
      this.#timers.delete(timer);
    }
  };
  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return void 0;
    }
  }
  function refusal(status) {
    switch (status) {
      case 401:
        return { kind: "refused", words: "You are not signed in any more." };
      case 403:
        return { kind: "refused", words: "You may not see this." };
      case 404:
        return { kind: "refused", words: "The inspector is not here any more." };
      default:
        return { kind: "failing", words: \`The server answers with status \${status}.\` };
    }
  }

  // items.ts
  var known2 = /* @__PURE__ */ new WeakMap();
  function itemsOf(part, span, tick) {
    const items = known2.get(part) ?? made(part, span, tick);
    known2.set(part, items);
    return items;
  }
  function made(part, span, tick) {
    const [from, to] = span;
    const { waiting, laneWaiting } = part;
    const leases = part.bars.map((bar) => leaseOf(bar, tick));
    const wrote = wroteIn(part, span, tick);
    return {
      queue: waiting + laneWaiting === 0 ? [] : [{ type: "queue", key: \`q\${tick}\`, from, to, tick, waiting, laneWaiting }],
      write: [...leases.flatMap(writesOf), ...wrote === void 0 ? [] : [wrote]],
      leases,
      rest: part.rest.map((rest) => ({ type: "rest", key: \`r\${tick}:\${rest.connection}\`, from, to, tick, rest })),
      notes: part.notes.map((note, index) => {
        return { type: "note", key: \`n\${tick}:\${index}\`, from: note.at, to: note.at, tick, note };
      })
    };
  }
  function wroteIn({ rest }, [from, to], tick) {
    const writing = rest.filter(({ wrote: wrote2 }) => wrote2 > 0);
    const [first] = writing;
    if (first === void 0) return void 0;
    const wrote = writing.reduce((sum2, each) => sum2 + each.wrote, 0);
    const leases = writing.reduce((sum2, each) => sum2 + each.leases, 0);
    const sum = { connection: void 0, leases, held: wrote, wrote, waited: 0, label: first.label };
    return { type: "rest", key: \`rw\${tick}\`, from, to, tick, rest: sum };
  }
  function leaseOf({ from, to, lease, connection, label, waited, writes, reads }, tick) {
    return { type: "lease", key: \`l\${lease}\`, from, to, tick, lease, connection, label, waited, writes, reads };
  }
  function heldBy({ from, lease, connection, label, waited, writes, reads }, now) {
    const to = Number.POSITIVE_INFINITY;
    const spans2 = { writes: goingOn(writes, now), reads: goingOn(reads, now) };
    return { type: "lease", key: \`l\${lease}\`, from, to, tick: to, lease, connection, label, waited, ...spans2 };
  }
  function goingOn(spans2, now) {
    const last = spans2.at(-1);
    return last === void 0 || last[1] < now - 1 ? spans2 : [...spans2.slice(0, -1), [last[0], Number.POSITIVE_INFINITY]];
  }
  function writesOf({ lease, label, tick, writes }) {
    return writes.map(([from, to], index) => {
      return { type: "write", key: \`w\${lease}:\${index}\`, from, to, tick, lease, label, stranger: void 0 };
    });
  }

  // lanes.ts
  var mostConnections = 64;
  var mostOpen = 512;
  function lanesOf(view2, pool) {
    const open2 = /* @__PURE__ */ new Set([...pool.connections, ...pool.holders.map((holder) => holder.connection)]);
    const all = seenIn(view2, pool.id);
    const unnamed = all.delete(0);
    const seen = [...all].filter((connection) => !open2.has(connection));
    const room = Math.max(0, mostConnections - open2.size);
    const closed = seen.toSorted((a, b) => b - a).slice(0, room);
    const shown = [...open2].toSorted((a, b) => a - b).slice(0, mostOpen);
    const connections = [...shown, ...closed].toSorted((a, b) => a - b);
    return [
      laneOf2("queue", void 0, true),
      ...pool.lane === void 0 ? [] : [laneOf2("write", void 0, true)],
      ...connections.map((connection) => laneOf2("connection", connection, open2.has(connection))),
      ...unnamed || closed.length < seen.length || shown.length < open2.size ? [laneOf2("others", void 0, false)] : []
    ];
  }
  function laneOf2(kind, connection, open2) {
    return { key: kind === "connection" ? \`c\${connection}\` : kind, kind, connection, open: open2 };
  }
  function seenIn(view2, pool) {
    const seen = /* @__PURE__ */ new Set();
    for (const tick of view2.ticks) {
      for (const part of tick.pools) {
        if (part.pool !== pool) continue;
        for (const bar of part.bars) seen.add(bar.connection);
        for (const rest of part.rest) seen.add(rest.connection);
      }
    }
    return seen;
  }
  function laneFinder(lanes) {
    const byConnection = new Map(lanes.map(({ connection }, index) => [connection, index]));
    const others = lanes.findIndex(({ kind }) => kind === "others");
    return (connection) => byConnection.get(connection) ?? others;
  }
  function laneName({ kind, connection, open: open2 }) {
    if (kind === "connection") return \`connection \${connection}\${open2 ? "" : ", closed"}\`;
    return { queue: "queue", write: "write lane", others: "other connections" }[kind];
  }

  // picture.ts
  var pictures = /* @__PURE__ */ new WeakMap();
  function pictureOf(view2, pool) {
    const known3 = pictures.get(view2) ?? /* @__PURE__ */ new Map();
    pictures.set(view2, known3);
    const picture = known3.get(pool.id) ?? made2(view2, pool);
    known3.set(pool.id, picture);
    return picture;
  }
  function made2(view2, pool) {
    const lanes = lanesOf(view2, pool);
    const items = lanes.map(() => []);
    const live = lanes.map(() => []);
    const notes = lanes.map(() => []);
    const laneOf3 = laneFinder(lanes);
    const marked = /* @__PURE__ */ new Set();
    const writeLane = lanes.findIndex(({ kind }) => kind === "write");
    const { interval, now } = view2.server;
    let before = (view2.ticks[0]?.at ?? now) - interval;
    for (const { at, number, pools } of view2.ticks) {
      const part = pools.find((each) => each.pool === pool.id);
      if (part !== void 0) {
        const tick = itemsOf(part, [before, at], number);
        items[0]?.push(...tick.queue);
        items[writeLane]?.push(...tick.write);
        for (const lease of tick.leases) items[laneOf3(lease.connection)]?.push(lease);
        for (const rest of tick.rest) items[laneOf3(rest.rest.connection)]?.push(rest);
        for (const note of tick.notes) {
          const { connection } = note.note;
          const lane = connection === void 0 ? 0 : Math.max(0, laneOf3(connection));
          items[lane]?.push(note);
          const told = \`\${note.note.kind} \${note.note.lease}\`;
          if (note.note.lease === void 0 || !marked.has(told)) notes[lane]?.push(note);
          marked.add(told);
        }
      }
      before = at;
    }
    for (const holder of pool.holders) {
      const held = heldBy(holder, now);
      live[laneOf3(holder.connection)]?.push(held);
      live[writeLane]?.push(...writesOf(held));
    }
    live[writeLane]?.push(...strangersOf(view2, pool));
    for (const [index, list2] of items.entries()) list2.push(...live[index] ?? []);
    for (const list2 of items) list2.sort((a, b) => a.from - b.from || a.to - b.to);
    return { lanes, items, live, notes };
  }
  function strangersOf(view2, pool) {
    return (view2.strangers.get(pool.id) ?? []).map(({ from, to, holder }) => {
      const last = to === view2.server.now ? Number.POSITIVE_INFINITY : to;
      const { label, lease } = holder;
      const key2 = \`s\${Math.round(from)}\`;
      return { type: "write", key: key2, from, to: last, tick: Number.POSITIVE_INFINITY, lease, label, stranger: holder };
    });
  }

  // table.ts
  var Table = class {
    box = element("div", "scroll");
    #options;
    #body = element("tbody");
    #heads = [];
    #rows = /* @__PURE__ */ new Map();
    constructor(options) {
      this.#options = options;
      const table = element("table");
      const head = element("thead");
      const row = element("tr");
      for (const column of options.columns) {
        const cell = element("th", column.kind === "number" ? "number" : "", column.head);
        cell.scope = "col";
        this.#heads.push(cell);
        row.append(cell);
      }
      head.append(row);
      table.append(element("caption", "hidden", options.title), head, this.#body);
      this.box.append(table);
      this.box.tabIndex = 0;
      this.box.role = "group";
      this.box.ariaLabel = options.title;
    }
    update(rows) {
      const keys2 = distinct(rows.map((row) => this.#options.key(row)));
      const kept3 = new Set(keys2);
      for (const [key2, { element: old }] of this.#rows) {
        if (kept3.has(key2)) continue;
        old.remove();
        this.#rows.delete(key2);
      }
      if (rows.length === 0) this.#showEmpty();
      else if (this.#rows.size === 0) this.#body.replaceChildren();
      for (const [index, row] of rows.entries()) {
        const key2 = keys2[index];
        const known3 = this.#rows.get(key2) ?? { element: this.#made(key2), row };
        known3.row = row;
        this.#rows.set(key2, known3);
        const there = this.#body.children[index];
        if (there !== known3.element) this.#body.insertBefore(known3.element, there ?? null);
        this.#write(known3.element, row);
      }
      for (const [index, column] of this.#options.columns.entries()) {
        const hidden = column.optional === true && rows.every((row) => column.text(row) === "");
        for (const row of [this.#heads[index]?.parentElement, ...this.#body.children]) {
          const cell = row?.children[index];
          if (cell instanceof HTMLElement) cell.hidden = hidden;
        }
      }
    }
    #showEmpty() {
      if (this.#body.querySelector(".empty") !== null) return;
      const row = element("tr");
      const cell = element("td", "empty", this.#options.empty);
      cell.colSpan = this.#options.columns.length;
      row.append(cell);
      this.#body.replaceChildren(row);
    }
    #made(key2) {
      const row = element("tr");
      for (const column of this.#options.columns) {
        const cell = element("td", column.kind ?? "");
        if (column.open !== void 0) cell.append(this.#button(key2, column));
        else if (column.more === void 0) cell.append(isolated(""));
        else {
          const details = element("details");
          details.append(element("summary"), element("pre"));
          cell.append(details);
        }
        row.append(cell);
      }
      return row;
    }
    #button(key2, column) {
      const button = element("button");
      button.type = "button";
      button.append(isolated(""));
      button.addEventListener("click", () => {
        const known3 = this.#rows.get(key2);
        if (known3 !== void 0) column.open?.(known3.row)?.();
      });
      return button;
    }
    #write(target2, row) {
      for (const [index, column] of this.#options.columns.entries()) {
        const place = target2.children[index]?.firstElementChild;
        if (place === void 0 || place === null) continue;
        if (place instanceof HTMLDetailsElement) {
          const more = column.more?.(row);
          place.hidden = more === void 0;
          if (place.firstElementChild !== null) say(place.firstElementChild, column.text(row));
          if (place.lastElementChild !== null) say(place.lastElementChild, more ?? "");
        } else if (place instanceof HTMLButtonElement) {
          if (place.firstElementChild !== null) say(place.firstElementChild, column.text(row));
          place.disabled = column.open?.(row) === void 0;
        } else {
          say(place, column.text(row));
        }
      }
    }
  };
  function distinct(keys2) {
    const counts = /* @__PURE__ */ new Map();
    return keys2.map((key2) => {
      const count2 = (counts.get(key2) ?? 0) + 1;
      counts.set(key2, count2);
      return \`\${count2} \${key2}\`;
    });
  }

  // list.ts
  var most2 = 200;
  var List = class {
    #fold = byId("list", HTMLDetailsElement);
    #table;
    #now = 0;
    constructor(open2, changed) {
      this.#table = new Table({
        title: "Leases, the newest first",
        empty: "There was none in the last minute.",
        key: ({ key: key2 }) => key2,
        columns: [
          {
            head: "Label",
            kind: "label",
            text: ({ label }) => labelOf(label),
            open: ({ lease }) => () => open2(lease)
          },
          { head: "Began", kind: "number", text: ({ from }) => clockTime(from) },
          { head: "Connection", kind: "number", text: ({ connection }) => \`\${connection}\` },
          { head: "Held", kind: "number", text: (item) => this.#held(item) },
          { head: "Waited", kind: "number", text: ({ waited }) => duration(waited) },
          { head: "In words", kind: "code", text: (item) => spoken(item, this.#now) }
        ]
      });
      byId("list-table", HTMLElement).append(this.#table.box);
      this.#fold.addEventListener("toggle", changed);
    }
    /** Not while it is closed, and not while somebody is in it: rows would move away under the reader. */
    update(view2, pool) {
      if (!this.#fold.open || this.#table.box.contains(document.activeElement)) return;
      this.#now = view2.server.now;
      const leases = pictureOf(view2, pool).items.flat().filter(isLease);
      this.#table.update(leases.toSorted((a, b) => b.from - a.from).slice(0, most2));
    }
    #held({ from, to }) {
      return to === Number.POSITIVE_INFINITY ? \`\${duration(this.#now - from)} so far\` : duration(to - from);
    }
  };
  function isLease(item) {
    return item.type === "lease";
  }

  // tables.ts
  var mostNotes = 100;
  function add(when, table, width) {
    const panel = element("section", \`panel \${width}\`);
    panel.ariaLabel = table.box.ariaLabel;
    panel.append(element("h2", "", table.box.ariaLabel ?? ""), table.box);
    byId(\`tables-\${when}\`, HTMLElement).append(panel);
    return table;
  }
  var Tables = class {
    #open;
    #holders;
    #waiters;
    #longest;
    #labels;
    #notes;
    #counters;
    constructor(open2) {
      this.#open = open2;
      this.#holders = add("now", new Table(this.#holderOptions()), "wide");
      this.#waiters = add("now", new Table(waiterOptions), "narrow");
      this.#longest = add("then", new Table(this.#longestOptions()), "half");
      this.#labels = add("then", new Table(labelOptions), "half");
      this.#notes = add("then", new Table(this.#noteOptions()), "wide");
      this.#counters = add("then", new Table(counterOptions), "narrow");
    }
    update(view2, pool) {
      this.#holders.update(pool.holders.toSorted((a, b) => b.age - a.age));
      this.#waiters.update(pool.waiters.map((waiter, index) => [index, waiter]));
      this.#longest.update(pool.longest);
      this.#labels.update(pool.labels);
      this.#notes.update(notesOf(view2, pool.id));
      this.#counters.update(countersOf(pool));
    }
    #holderOptions() {
      const columns = [
        {
          head: "Label",
          kind: "label",
          text: ({ label }) => labelOf(label),
          open: ({ lease }) => () => this.#open(lease)
        },
        { head: "Held", kind: "number", text: ({ age }) => duration(age) },
        { head: "Waited", kind: "number", text: ({ waited }) => duration(waited) },
        { head: "Last used", kind: "number", text: ({ idleFor }) => \`\${duration(idleFor)} ago\` },
        { head: "Conn.", kind: "number", text: ({ connection }) => \`\${connection}\` },
        { head: "Does", kind: "words", text: doing },
        { head: "Statement", kind: "code", optional: true, text: ({ sql }) => shortSql(sql), more: ({ sql }) => sql },
        {
          head: "Acquired",
          kind: "code",
          optional: true,
          text: ({ stack }) => frameOf(stack),
          more: ({ stack }) => stack
        }
      ];
      return { title: "Held now", empty: "Nobody holds a connection.", columns, key: ({ lease }) => \`\${lease}\` };
    }
    #longestOptions() {
      const columns = [
        {
          head: "Label",
          kind: "label",
          text: ({ label }) => labelOf(label),
          open: ({ lease }) => () => this.#open(lease)
        },
        { head: "Held", kind: "number", text: ({ from, to }) => duration(to - from) },
        { head: "Waited", kind: "number", text: ({ waited }) => duration(waited) },
        { head: "Conn.", kind: "number", text: ({ connection }) => \`\${connection}\` },
        { head: "Began", kind: "number", text: ({ from }) => clockTime(from) }
      ];
      const title = "Longest leases of the last ten minutes";
      return { title, empty: "None has ended yet.", columns, key: ({ lease }) => \`\${lease}\` };
    }
    #noteOptions() {
      const columns = [
        { head: "At", kind: "number", text: ([, { at }]) => clockTime(at) },
        { head: "What", text: ([, { kind }]) => kind },
        {
          head: "Label",
          kind: "label",
          text: ([, { label }]) => labelOf(label),
          open: ([, { lease }]) => this.#opener(lease)
        },
        {
          head: "Message",
          kind: "code",
          text: ([, { message }]) => oneLine(message, 140),
          more: ([, { message }]) => message
        }
      ];
      return {
        title: "What went wrong",
        empty: "Nothing in the last minute.",
        columns,
        key: ([key2]) => key2
      };
    }
    #opener(lease) {
      return lease === void 0 ? void 0 : () => this.#open(lease);
    }
  };
  var waiterOptions = {
    title: "Waiting now",
    empty: "Nobody waits.",
    columns: [
      { head: "Label", kind: "label", text: ([, { label }]) => labelOf(label) },
      { head: "For", text: ([, waiter]) => waiter.for },
      { head: "Waited", kind: "number", text: ([, { waited }]) => duration(waited) },
      { head: "Left", kind: "number", text: ([, { left }]) => left === void 0 ? "no end" : duration(left) },
      { head: "Prio.", kind: "number", text: ([, { priority }]) => \`\${priority}\` }
    ],
    key: ([index]) => \`\${index}\`
  };
  var labelOptions = {
    title: "By label",
    empty: "No lease with a label has ended yet.",
    columns: [
      { head: "Label", kind: "label", text: ({ label }) => label === void 0 ? "all others" : labelOf(label) },
      { head: "Leases", kind: "number", text: ({ acquired }) => whole(acquired) },
      { head: "Now", kind: "number", text: ({ leased }) => whole(leased) },
      { head: "Held p50", kind: "number", text: ({ holdTime }) => duration(holdTime.p50) },
      { head: "p95", kind: "number", text: ({ holdTime }) => duration(holdTime.p95) },
      { head: "Waited p95", kind: "number", text: ({ waitTime }) => duration(waitTime.p95) },
      { head: "Timeouts", kind: "number", text: ({ timeouts }) => whole(timeouts) }
    ],
    key: ({ label }) => label === void 0 ? "others" : \`label \${label}\`
  };
  var counterOptions = {
    title: "Since the pool was made",
    empty: "",
    columns: [
      { head: "Counter", text: ([name]) => name },
      { head: "Value", kind: "number", text: ([, value]) => value }
    ],
    key: ([name]) => name
  };
  function countersOf({ counters, waitTime, holdTime, openTime }) {
    return [
      ...Object.entries(counters).map(([name, value]) => [words(name), whole(value)]),
      ["waited, p99", duration(waitTime.p99)],
      ["held, p99", duration(holdTime.p99)],
      ["opening, p99", duration(openTime.p99)]
    ];
  }
  function notesOf(view2, pool) {
    const notes = [];
    for (const tick of view2.ticks.toReversed()) {
      for (const part of tick.pools) {
        if (part.pool !== pool) continue;
        for (const [index, note] of [...part.notes.entries()].toReversed()) notes.push([\`\${tick.number}:\${index}\`, note]);
      }
      if (notes.length >= mostNotes) break;
    }
    return notes.slice(0, mostNotes);
  }
  function doing({ inTransaction, mode }) {
    const may = { connection: "connection", read: "snapshot", write: "may write" }[mode];
    return inTransaction ? \`\${may}, transaction open\` : may;
  }
  function shortSql(sql) {
    return sql === void 0 ? "" : oneLine(sql.replaceAll(/\\s+/g, " ").trim(), 40);
  }
  function frameOf(stack) {
    const line = stack?.split("\\n").find((each) => /^\\s*at /.test(each));
    return line === void 0 ? "" : oneLine(
      line.trim().replace(/^at (?:async )?/, "").replace(/file:\\/\\/\\S*\\//, ""),
      60
    );
  }

  // theme.ts
  var themes = ["auto", "light", "dark"];
  var key = "leasehold-theme";
  var named = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  function startTheme(button, changed) {
    let theme = kept2();
    const show = () => {
      if (theme === "auto") delete document.documentElement.dataset["theme"];
      else document.documentElement.dataset["theme"] = theme;
      button.textContent = named[theme];
      changed();
    };
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
      keep(theme);
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    show();
  }
  function kept2() {
    try {
      return themes.find((theme) => theme === localStorage.getItem(key)) ?? "auto";
    } catch {
      return "auto";
    }
  }
  function keep(theme) {
    try {
      localStorage.setItem(key, theme);
    } catch {
    }
  }

  // geometry.ts
  function xOf(scale, at) {
    return (at - scale.origin) * scale.perMillisecond;
  }
  function timeAt(scale, x) {
    return scale.origin + x / scale.perMillisecond;
  }
  function extentOf(scale, from, to) {
    const x = Math.round(xOf(scale, from));
    const width = Math.max(1, Math.round(xOf(scale, to)) - x);
    const cover = Math.min(1, Math.max(0, (to - from) * scale.perMillisecond / width));
    return { x, width, cover };
  }
  function within(extent, left, right) {
    const x = Math.max(extent.x, left);
    const end = Math.min(extent.x + extent.width, right);
    return end <= x ? void 0 : { x, width: end - x, cover: extent.cover };
  }
  function hit(items, at, slack3, now) {
    let best;
    let least2 = Number.POSITIVE_INFINITY;
    for (const item of items) {
      const to = Math.min(item.to, now);
      const distance = Math.max(0, item.from - at, at - to);
      const reach = item.type === "note" ? slack3 * 2 : slack3;
      if (distance > reach || item.from > now) continue;
      const rank = item.type === "note" ? 0 : item.type === "rest" ? 2e9 : 1e9;
      const cost = rank + distance * 1e4 + Math.min(1e4, to - item.from);
      if (cost < least2) {
        least2 = cost;
        best = item;
      }
    }
    return best;
  }
  function fitted(text, width, measure) {
    if (measure(text) <= width) return text;
    let fits = 0;
    let fails = text.length;
    while (fails - fits > 1) {
      const middle = fits + fails >> 1;
      if (measure(\`\${text.slice(0, middle)}…\`) <= width) fits = middle;
      else fails = middle;
    }
    return fits < 2 ? "" : \`\${text.slice(0, fits).trimEnd()}…\`;
  }
  function gridStep(span, width) {
    const steps = [500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4];
    return steps.find((step) => step / span * width >= 72) ?? 6e4;
  }

  // marks.ts
  var closedShapes = {
    leak: [
      [0, -1],
      [1, 0.9],
      [-1, 0.9]
    ],
    dirty: [
      [0, -1],
      [1, 0],
      [0, 1],
      [-1, 0]
    ],
    deadlock: [
      [-0.85, -0.85],
      [0.85, -0.85],
      [0.85, 0.85],
      [-0.85, 0.85]
    ],
    replace: [
      [-1, -0.9],
      [1, -0.9],
      [0, 1]
    ]
  };
  var strokes = {
    timeout: [
      [
        [-0.9, -0.9],
        [0.9, 0.9]
      ],
      [
        [0.9, -0.9],
        [-0.9, 0.9]
      ]
    ],
    error: [
      [
        [0, -1],
        [0, 0.3]
      ],
      [
        [0, 0.8],
        [0, 1]
      ]
    ],
    discard: [
      [
        [-1, 0],
        [1, 0]
      ]
    ]
  };
  function paintMark({ palette, ratio }, context, kind, x, y, size) {
    const closed = closedShapes[kind];
    context.beginPath();
    for (const shape of closed === void 0 ? strokes[kind] ?? [] : [closed]) {
      for (const [index, [dx, dy]] of shape.entries()) {
        if (index === 0) context.moveTo(x + dx * size, y + dy * size);
        else context.lineTo(x + dx * size, y + dy * size);
      }
      if (closed !== void 0) context.closePath();
    }
    context.strokeStyle = palette.panel;
    context.lineWidth = 4 * ratio;
    context.stroke();
    context.fillStyle = palette.panel;
    if (closed !== void 0) context.fill();
    context.strokeStyle = palette.bad;
    context.lineWidth = 1.6 * ratio;
    context.stroke();
  }

  // painter.ts
  var lowest = 12;
  var narrowest = 34;
  var widths = /* @__PURE__ */ new Map();
  var mostWidths = 2e3;
  function bandOf(y, height2, ratio) {
    const roomy = height2 >= 20;
    const top = Math.round((y + (roomy ? 2 : 1)) * ratio);
    const wait = Math.round((roomy ? 3 : 2) * ratio);
    const end = Math.round((y + height2 - (roomy ? 2 : 1)) * ratio);
    return { y: top, height: Math.max(1, end - top - wait), wait };
  }
  function hatchOf(context, colour, ratio) {
    const size = Math.round(6 * ratio);
    const tile = new OffscreenCanvas(size, size);
    const pen = tile.getContext("2d");
    if (pen === null) return colour;
    pen.strokeStyle = colour;
    pen.lineWidth = Math.max(1, ratio * 1.1);
    pen.beginPath();
    for (const at of [-size, 0, size]) {
      pen.moveTo(at, size);
      pen.lineTo(at + size, 0);
    }
    pen.stroke();
    return context.createPattern(tile, "repeat") ?? colour;
  }
  function placed(ground, from, to) {
    const extent = extentOf(ground.scale, from, to);
    return within({ ...extent, x: extent.x + ground.shift }, ground.left, ground.right);
  }
  function paintWait(ground, band, { from, waited }) {
    const extent = waited > 0 ? placed(ground, from - waited, from) : void 0;
    if (extent === void 0 || extent.width === 1 && extent.cover < 0.5) return;
    const { context, look } = ground;
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = look.palette.wait;
    context.fillRect(extent.x, band.y + band.height, extent.width, band.wait);
    context.fillStyle = look.hatch;
    context.fillRect(extent.x, band.y, extent.width, band.height);
    context.globalCompositeOperation = "source-over";
  }
  function paintLease(ground, band, item, now) {
    const { context, look } = ground;
    const body = placed(ground, item.from, Math.min(item.to, now));
    if (body === void 0) return;
    const { palette, ratio } = look;
    if (body.cover < 1) context.globalAlpha = 0.35 + 0.65 * body.cover;
    const line = Math.max(1, Math.round(ratio));
    context.fillStyle = palette["held-edge"];
    context.fillRect(body.x, band.y, body.width, band.height);
    if (body.width > 3 * line) {
      context.fillStyle = palette.held;
      context.fillRect(body.x + line, band.y + line, body.width - 2 * line, band.height - 2 * line);
    }
    const foot = Math.max(1, Math.round(Math.min(3, band.height / (3 * ratio)) * ratio));
    context.fillStyle = palette.read;
    for (const span of item.reads) {
      const part = placed(ground, span[0], Math.min(span[1], now));
      if (part !== void 0) context.fillRect(part.x, band.y + band.height - foot, part.width, foot);
    }
    paintLabel(ground, band, body, item.label, palette["held-ink"]);
    for (const span of item.writes) {
      const part = placed(ground, span[0], Math.min(span[1], now));
      if (part !== void 0) paintWrite(ground, band, part, body, item.label);
    }
    context.globalAlpha = 1;
  }
  function paintWriter(ground, band, from, to, label) {
    const body = placed(ground, from, to);
    if (body === void 0) return;
    if (body.cover < 1) ground.context.globalAlpha = 0.35 + 0.65 * body.cover;
    paintWrite(ground, band, body, body, label);
    ground.context.globalAlpha = 1;
    parted(ground, band, body);
  }
  function paintEnded(ground, band, item) {
    if (item.tick === Number.POSITIVE_INFINITY) return;
    if (item.type === "lease") paintLease(ground, band, item, item.to);
    else if (item.type === "write") paintWriter(ground, band, item.from, item.to, item.label);
  }
  function paintWrite({ context, look, ...edges }, band, part, body, label) {
    context.fillStyle = look.palette.write;
    context.fillRect(part.x, band.y, part.width, band.height);
    if (part.width < 4 || body.width < narrowest * look.ratio || band.height < lowest * look.ratio) return;
    context.save();
    context.beginPath();
    context.rect(part.x, band.y, part.width, band.height);
    context.clip();
    paintLabel({ context, look, ...edges }, band, body, label, look.palette["write-ink"]);
    context.restore();
  }
  function parted({ context, look }, band, body) {
    if (body.width < 5) return;
    context.fillStyle = look.palette.panel;
    context.fillRect(body.x, band.y, Math.max(1, Math.round(look.ratio / 2)), band.height);
  }
  function paintLabel({ context, look }, band, body, label, colour) {
    const { ratio, font } = look;
    if (label === void 0 || body.width < narrowest * ratio || band.height < lowest * ratio) return;
    context.font = font;
    const text = fitted(labelOf(label, 80), body.width - 8 * ratio, (part) => widthOf(context, part));
    if (text === "") return;
    context.fillStyle = colour;
    context.textBaseline = "middle";
    context.fillText(text, body.x + 5 * ratio, band.y + band.height / 2 + ratio * 0.5);
  }
  function widthOf(context, text) {
    const key2 = context.font + text;
    const known3 = widths.get(key2);
    if (known3 !== void 0) return known3;
    if (widths.size >= mostWidths) widths.clear();
    const { width } = context.measureText(text);
    widths.set(key2, width);
    return width;
  }
  function paintRest(ground, band, { from, to, rest }) {
    const extent = placed(ground, from, to);
    if (extent === void 0) return;
    const { context, look } = ground;
    const tick = Math.max(1, to - from);
    const high = (part) => Math.round(Math.min(1, part / tick) * band.height);
    const wrote = rest.wrote > 0 ? Math.max(1, high(rest.wrote)) : 0;
    const held = Math.max(1, wrote, high(rest.held));
    const foot = band.y + band.height;
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = look.palette.write;
    context.fillRect(extent.x, foot - wrote, extent.width, wrote);
    context.fillStyle = look.palette.rest;
    context.fillRect(extent.x, foot - held, extent.width, held);
    context.globalCompositeOperation = "source-over";
  }

  // frame.ts
  function paintFrame(context, scene) {
    const { layout, look, strip, begin, scrolled } = scene;
    const px = (css) => Math.round(css * look.ratio);
    const left = px(layout.gutter);
    const right = px(layout.width);
    const shift = left - Math.round(xOf(strip.scale, begin));
    const ground = { context, look, scale: strip.scale, shift, left, right };
    const bottom = px(layout.view - layout.axis);
    context.globalAlpha = 1;
    context.fillStyle = look.palette.panel;
    context.fillRect(0, 0, right, px(layout.view));
    paintGrid(ground, scene, bottom);
    paintQueue(ground, scene);
    clipped(context, [0, 0, right, px(layout.fixed)], () => paintRows(ground, scene, 0, layout.fixed, 0));
    clipped(context, [0, px(layout.fixed), right, bottom - px(layout.fixed)], () => {
      paintRows(ground, scene, layout.fixed, layout.content - layout.fixed, scrolled);
    });
    context.fillStyle = look.palette.edge;
    context.fillRect(0, px(layout.fixed) - 1, right, 1);
    context.fillRect(right - Math.max(1, px(1)), 0, Math.max(1, px(1)), bottom);
  }
  function clipped(context, area, paint) {
    context.save();
    context.beginPath();
    context.rect(...area);
    context.clip();
    paint();
    context.restore();
  }
  function paintRows(ground, scene, top, height2, scrolled) {
    const { context, look, left, right, shift } = ground;
    const { strip, layout } = scene;
    const y = Math.round(top * look.ratio);
    const high = Math.min(Math.round(height2 * look.ratio), strip.canvas.height - y);
    const up = Math.round(scrolled * look.ratio);
    const rows = [...layout.rows.entries()].filter(([, row]) => row.y >= top && row.y < top + height2);
    for (const [, row] of rows) {
      context.fillStyle = look.palette.grid;
      context.fillRect(0, Math.round((row.y + row.height) * look.ratio) - up - 1, right, 1);
    }
    const from = Math.max(0, left - shift);
    const wide = Math.min(strip.canvas.width - from, right - (from + shift));
    if (wide > 0 && high > 0) {
      context.drawImage(strip.canvas, from, y, wide, high, from + shift, y - up, wide, high);
    }
    for (const [index, row] of rows) {
      const band = bandOf(row.y - up / look.ratio, row.height, look.ratio);
      paintCut(ground, scene, band, scene.picture.items[index] ?? []);
      for (const item of scene.picture.live[index] ?? []) {
        if (item.from > scene.now) continue;
        if (item.type === "lease") paintLease(ground, band, item, scene.now);
        if (item.type === "write") paintWriter(ground, band, item.from, Math.min(item.to, scene.now), item.label);
      }
      paintMarks(ground, scene.picture.notes[index] ?? [], scene.now, markPlace(row) * look.ratio - up);
      paintName(ground, row, up);
    }
    for (const [choice, colour] of [
      [scene.pointed, look.palette.edge],
      [scene.chosen, look.palette.accent]
    ]) {
      const row = choice === void 0 ? void 0 : rows.find(([index]) => index === choice.lane)?.[1];
      if (choice !== void 0 && row !== void 0) paintOutline(ground, scene, row, choice.item, colour, up);
    }
  }
  function paintCut(ground, { begin }, band, items) {
    for (const item of items) {
      if (item.from >= begin) return;
      if (item.to > begin) paintEnded(ground, band, item);
    }
  }
  function paintOutline(ground, scene, row, item, colour, up) {
    const { context, look, left, right } = ground;
    const extent = extentOf(ground.scale, item.from, Math.min(item.to, scene.now));
    const own = item.type === "note" ? { ...extent, x: extent.x - 7 * look.ratio, width: 14 * look.ratio } : extent;
    const seen = within({ ...own, x: own.x + ground.shift }, left, right);
    if (seen === void 0) return;
    const line = Math.max(2, Math.round(2 * look.ratio));
    const y = Math.round(row.y * look.ratio) - up;
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(seen.x - line / 2, y + line / 2, seen.width + line, Math.round(row.height * look.ratio) - line);
  }
  function markPlace({ y, height: height2, lane }) {
    if (lane.kind === "queue") return y + 12;
    return height2 < 20 ? y + height2 / 2 : y + 5.5;
  }
  function paintMarks(ground, items, now, y) {
    const { context, look, scale, shift, left, right } = ground;
    const size = 3.4 * look.ratio;
    let last = Number.NEGATIVE_INFINITY;
    for (const item of items) {
      if (item.from > now) continue;
      const x = Math.round(xOf(scale, item.from)) + shift;
      if (x < left || x > right || x - last < size * 0.75) continue;
      last = x;
      paintMark(look, context, item.note.kind, x, y, size);
    }
  }
  function paintQueue(ground, scene) {
    const { context, look, scale, shift, left, right } = ground;
    const row = scene.layout.rows[0];
    if (row === void 0) return;
    const foot = Math.round((row.y + row.height) * look.ratio) - 1;
    const high = (row.height - 4) * look.ratio;
    for (const step of scene.queue) {
      const extent = extentOf(scale, step.from, Math.min(step.to, scene.now));
      const seen = step.from > scene.now ? void 0 : within({ ...extent, x: extent.x + shift }, left, right);
      if (seen === void 0) continue;
      const first = Math.round(step.waiting / scene.queueTop * high);
      const all = Math.round((step.waiting + step.laneWaiting) / scene.queueTop * high);
      context.fillStyle = look.palette.wait;
      context.fillRect(seen.x, foot - first, seen.width, first);
      context.fillStyle = look.hatch;
      context.fillRect(seen.x, foot - all, seen.width, all - first);
      context.fillStyle = look.palette.wait;
      context.fillRect(seen.x, foot - all, seen.width, Math.max(1, Math.round(look.ratio)));
    }
    if (scene.queue.length === 0) return;
    context.fillStyle = look.palette.edge;
    context.fillRect(left, foot - Math.round(high), right - left, 1);
    context.font = look.small;
    context.textBaseline = "top";
    const text = \`\${scene.queueTop} waiting\`;
    const [x, y, size] = [left + 3 * look.ratio, foot - high + 2 * look.ratio, 11 * look.ratio];
    context.fillStyle = look.palette.panel;
    context.fillRect(x - 2 * look.ratio, y, context.measureText(text).width + 4 * look.ratio, size);
    context.fillStyle = look.palette.muted;
    context.fillText(text, x, y);
  }
  function paintGrid(ground, { begin, now, layout }, bottom) {
    const { context, look, scale, shift, left, right } = ground;
    const step = gridStep(now - begin, layout.width - layout.gutter);
    context.font = look.font;
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (let at = Math.ceil(begin / step) * step; at <= now; at += step) {
      const x = Math.round(xOf(scale, at)) + shift;
      if (x < left) continue;
      context.fillStyle = look.palette.grid;
      context.fillRect(x, 0, 1, bottom);
      const text = step < 1e3 ? \`\${clockTime(at)}.\${Math.floor(at % 1e3 / 100)}\` : clockTime(at);
      const half = context.measureText(text).width / 2;
      if (x - half < left || x + half > right - 34 * look.ratio) continue;
      context.fillStyle = look.palette.muted;
      context.fillText(text, x, bottom + layout.axis / 2 * look.ratio);
    }
    context.textAlign = "right";
    context.fillStyle = look.palette.ink;
    context.fillText("now", right - 2 * look.ratio, bottom + layout.axis / 2 * look.ratio);
    context.textAlign = "left";
  }
  function paintName(ground, { lane, y, height: height2 }, up) {
    const { context, look } = ground;
    const narrow = ground.left < 60 * look.ratio;
    const long = { queue: "queue", write: "writing", others: "others", connection: \`\${lane.connection}\` }[lane.kind];
    const short = { queue: "que", write: "wrt", others: "…", connection: \`\${lane.connection}\` }[lane.kind];
    if (height2 < 10 && lane.connection !== void 0 && lane.connection % 10 !== 0) return;
    context.font = height2 < 16 ? look.small : look.font;
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.globalAlpha = lane.open ? 1 : 0.6;
    context.fillStyle = look.palette.muted;
    context.fillText(narrow ? short : long, ground.left - 7 * look.ratio, (y + height2 / 2) * look.ratio - up);
    context.globalAlpha = 1;
    context.textAlign = "left";
  }
  function placeOf2(scene, item) {
    const { layout, begin, now } = scene;
    const per = (layout.width - layout.gutter) / (now - begin);
    const x = layout.gutter + Math.max(0, item.from - begin) * per;
    const end = layout.gutter + Math.max(0, Math.min(item.to, now) - begin) * per;
    return { x, width: Math.max(1, end - x), cover: 1 };
  }

  // layout.ts
  var axis = 22;
  var queue = 38;
  function layoutOf(lanes, width, most3) {
    const connections = lanes.filter(({ kind }) => kind !== "queue" && kind !== "write").length;
    const height2 = laneHeight(connections, most3 - axis - queue - 30);
    const rows = [];
    let y = 0;
    let fixed = 0;
    for (const lane of lanes) {
      const own = lane.kind === "queue" ? queue : lane.kind === "write" ? Math.max(22, height2) : height2;
      rows.push({ lane, y, height: own });
      y += own;
      if (lane.kind === "queue" || lane.kind === "write") fixed = y;
    }
    const content = Math.max(y, fixed + height2);
    const view2 = Math.max(Math.min(content, most3 - axis), fixed + 3 * height2) + axis;
    return { width, gutter: width < 520 ? 34 : 72, rows, fixed, content, axis, view: Math.min(view2, content + axis) };
  }
  var thinnest = [
    { upTo: 100, height: 12 },
    { upTo: Number.POSITIVE_INFINITY, height: 6 }
  ];
  function laneHeight(connections, room) {
    const least2 = thinnest.find(({ upTo }) => connections <= upTo)?.height ?? 0;
    return Math.max(least2, Math.min(28, Math.floor(room / Math.max(1, connections))));
  }
  function rowAt(layout, y, scrolled) {
    if (y < 0 || y >= layout.view - layout.axis) return -1;
    const at = y < layout.fixed ? y : y + scrolled;
    return layout.rows.findIndex((row) => at >= row.y && at < row.y + row.height);
  }
  function scrolledTo(layout, row, scrolled) {
    if (row.y < layout.fixed) return scrolled;
    const room = layout.view - layout.axis - layout.fixed;
    const y = row.y - layout.fixed;
    return Math.max(Math.min(scrolled, y), y + row.height - room);
  }

  // navigate.ts
  var page = 20;
  function moved(picture, chosen, move, begin, now) {
    const inView = (lane2) => (picture.items[lane2] ?? []).filter((item2) => item2.to >= begin && item2.from <= now);
    if (chosen === void 0) return entered(picture, inView, now);
    const { lane, item } = chosen;
    if (move === "up" || move === "down") {
      const step = move === "up" ? -1 : 1;
      for (let next2 = lane + step; next2 >= 0 && next2 < picture.lanes.length; next2 += step) {
        const found = nearest(inView(next2), middleOf(item, begin, now), begin, now);
        if (found !== void 0) return { lane: next2, item: found };
      }
      return chosen;
    }
    const items = inView(lane);
    const at = items.findIndex(({ key: key2 }) => key2 === item.key);
    if (at === -1) return items[0] === void 0 ? entered(picture, inView, now) : { lane, item: items[0] };
    const next = items[Math.max(0, Math.min(items.length - 1, target(move, at, items.length)))];
    return next === void 0 ? chosen : { lane, item: next };
  }
  function target(move, at, length) {
    const targets = {
      left: at - 1,
      right: at + 1,
      first: 0,
      last: length - 1,
      "page left": at - page,
      "page right": at + page
    };
    return targets[move];
  }
  function entered(picture, inView, now) {
    const order = picture.lanes.map((_, lane) => lane);
    const connections = order.filter((lane) => picture.lanes[lane]?.kind === "connection");
    let best;
    for (const lane of connections.length > 0 ? connections : order) {
      const item = inView(lane).at(-1);
      if (item !== void 0 && (best === void 0 || Math.min(item.to, now) > Math.min(best.item.to, now)))
        best = { lane, item };
    }
    if (best !== void 0) return best;
    for (const lane of order) {
      const item = inView(lane).at(-1);
      if (item !== void 0) return { lane, item };
    }
    return void 0;
  }
  function nearest(items, at, begin, now) {
    let best;
    let least2 = Number.POSITIVE_INFINITY;
    for (const item of items) {
      const distance = Math.max(0, Math.max(item.from, begin) - at, at - Math.min(item.to, now));
      if (distance < least2) {
        least2 = distance;
        best = item;
      }
    }
    return best;
  }
  function middleOf(item, begin, now) {
    return (Math.max(begin, Math.min(item.from, now)) + Math.max(begin, Math.min(item.to, now))) / 2;
  }
  function followed(picture, chosen) {
    if (chosen === void 0) return void 0;
    const { key: key2 } = chosen.item;
    const lanes = [chosen.lane, ...picture.lanes.keys()];
    for (const lane of lanes) {
      const item = picture.items[lane]?.find((each) => each.key === key2);
      if (item !== void 0) return { lane, item };
    }
    return void 0;
  }
  var keys = {
    ArrowLeft: "left",
    ArrowRight: "right",
    ArrowUp: "up",
    ArrowDown: "down",
    Home: "first",
    End: "last",
    PageUp: "page left",
    PageDown: "page right"
  };
  function moveOf(key2) {
    return Object.hasOwn(keys, key2) ? keys[key2] : void 0;
  }

  // palette.ts
  var names = [
    ...["panel", "zebra", "line", "edge", "ink", "muted", "accent", "held", "held-edge", "held-ink", "rest"],
    ...["write", "write-ink", "read", "wait", "bad", "grid"]
  ];
  function paletteOf() {
    const probe = document.createElement("i");
    probe.hidden = true;
    document.body.append(probe);
    const colours = names.map((name) => {
      probe.style.color = \`var(--\${name})\`;
      return [name, getComputedStyle(probe).color];
    });
    probe.remove();
    return Object.fromEntries(colours);
  }

  // queue.ts
  function queueSteps(ticks, pool, interval) {
    const steps = [];
    let from = (ticks[0]?.at ?? 0) - interval;
    for (const { at, pools } of ticks) {
      const part = pools.find((each) => each.pool === pool);
      if (part !== void 0 && part.waiting + part.laneWaiting > 0) {
        steps.push({ from, to: at, waiting: part.waiting, laneWaiting: part.laneWaiting });
      }
      from = at;
    }
    return steps;
  }
  function queueTop(steps) {
    const most3 = Math.max(0, ...steps.map(({ waiting, laneWaiting }) => waiting + laneWaiting));
    const unit = 10 ** Math.floor(Math.log10(Math.max(4, most3)));
    const factor = [1, 1.5, 2, 3, 4, 5, 6, 8].find((each) => each * unit >= Math.max(4, most3)) ?? 10;
    return factor * unit;
  }

  // strip.ts
  var slack2 = 1.5;
  var Strip = class {
    canvas = document.createElement("canvas");
    #context = this.canvas.getContext("2d");
    #scale = { origin: 0, perMillisecond: 1 };
    #made = "";
    #look;
    /** Number of the last tick that is painted. */
    #tick = -1;
    get scale() {
      return this.#scale;
    }
    /** Paints what is new, or all, where anything is otherwise than before. */
    update(view2, pool, picture, layout, look, span, begin) {
      const plot = Math.round((layout.width - layout.gutter) * look.ratio);
      const rows = layout.rows.map((row) => \`\${row.lane.key}:\${row.height}\`).join();
      const made3 = [view2.epoch, pool, plot, look.ratio, span, rows].join(" ");
      if (made3 !== this.#made || look !== this.#look) {
        this.canvas.width = Math.max(1, Math.ceil(plot * slack2));
        this.canvas.height = Math.max(1, Math.round(layout.content * look.ratio));
        this.#scale = { origin: begin, perMillisecond: plot / span };
        this.#made = made3;
        this.#look = look;
        this.#tick = -1;
      } else if (view2.server.now > timeAt(this.#scale, this.canvas.width)) {
        this.#shift(begin);
      }
      const last = view2.ticks.at(-1)?.number ?? -1;
      if (last === this.#tick) return;
      this.#paint(picture, layout, look);
      this.#tick = last;
    }
    /** By whole pixels, so that nothing blurs. */
    #shift(begin) {
      const by = Math.min(Math.floor(xOf(this.#scale, begin)), this.canvas.width);
      if (by <= 0) return;
      const context = this.#context;
      context.globalCompositeOperation = "copy";
      context.drawImage(this.canvas, -by, 0);
      context.globalCompositeOperation = "source-over";
      const { origin, perMillisecond } = this.#scale;
      this.#scale = { origin: origin + by / perMillisecond, perMillisecond };
    }
    #paint(picture, layout, look) {
      const edges = { shift: 0, left: 0, right: this.canvas.width };
      const ground = { context: this.#context, look, scale: this.#scale, ...edges };
      for (const [index, row] of layout.rows.entries()) {
        if (row.lane.kind === "queue") continue;
        const band = bandOf(row.y, row.height, look.ratio);
        const fresh = (picture.items[index] ?? []).filter(({ tick, to }) => tick > this.#tick && to > this.#scale.origin);
        for (const item of fresh) paintEnded(ground, band, item);
        for (const item of fresh) if (item.type === "rest") paintRest(ground, band, item);
        for (const item of fresh) if (item.type === "lease") paintWait(ground, band, item);
      }
    }
  };

  // tip.ts
  var Tip = class {
    #box = byId("tip", HTMLElement);
    #shown = "";
    hide() {
      this.#box.hidden = true;
      this.#shown = "";
    }
    /** Below a row of \`height\` that ends at \`y\`, or above it where there is no room. */
    show(item, now, x, y, height2) {
      const { title, lines: lines2 } = tip(item, now);
      if (this.#shown !== item.key) {
        this.#shown = item.key;
        const head = element("strong");
        head.append(isolated(title));
        this.#box.replaceChildren(head, ...lines2.map((line) => element("div", "", line)));
      } else {
        for (const [index, line] of lines2.entries()) {
          const place = this.#box.children[index + 1];
          if (place !== void 0) say(place, line);
        }
      }
      this.#box.hidden = false;
      const { offsetWidth, offsetHeight } = this.#box;
      const left = Math.max(8, Math.min(x + 8, innerWidth - offsetWidth - 8));
      const top = y + offsetHeight + 8 > innerHeight ? y - height2 - 12 - offsetHeight : y;
      this.#box.style.translate = \`\${Math.round(left)}px \${Math.round(top)}px\`;
    }
  };

  // timeline.ts
  var spans = [6e4, 2e4, 5e3];
  var Timeline = class {
    #region = byId("lanes", HTMLElement);
    #canvas = byId("canvas", HTMLCanvasElement);
    #spacer = byId("spacer", HTMLElement);
    #context = this.#canvas.getContext("2d");
    #strip = new Strip();
    #tip = new Tip();
    #open;
    #dirty;
    #look;
    #span = spans[0];
    #scene;
    #chosen;
    #pointer;
    #view;
    /** Of what was painted last. Most frames would not differ from the one before by a pixel. */
    #painted = "";
    /** Whether any of it is within the window. */
    #seen = true;
    /** \`open\` shows the details of a lease; \`dirty\` asks for a frame. */
    constructor(open2, dirty) {
      this.#open = open2;
      this.#dirty = () => {
        this.#painted = "";
        dirty();
      };
      new ResizeObserver(this.#dirty).observe(this.#region);
      new IntersectionObserver((entries) => {
        this.#seen = entries.at(-1)?.isIntersecting ?? true;
        this.#dirty();
      }).observe(this.#region);
      this.#region.addEventListener("scroll", this.#dirty, { passive: true });
      this.#region.addEventListener("keydown", (event) => this.#key(event));
      this.#region.addEventListener("pointermove", (event) => this.#point(event));
      this.#region.addEventListener("pointerleave", () => this.#point(void 0));
      this.#region.addEventListener("click", (event) => this.#click(event));
      this.#region.addEventListener("blur", () => {
        this.#tip.hide();
        this.#dirty();
      });
      byId("spans", HTMLElement).append(...spans.map((span) => this.#spanButton(span)));
    }
    /** Whether anything on it moves by itself, beside the seconds. */
    get moving() {
      return this.#seen && (this.#scene?.picture.items.some((items) => items.length > 0) ?? false);
    }
    recolour() {
      this.#look = void 0;
      this.#dirty();
    }
    forget() {
      this.#chosen = void 0;
    }
    draw(view2, pool, now) {
      const { origin, perMillisecond } = this.#strip.scale;
      const painting = \`\${pool.id} \${Math.round((now - origin) * perMillisecond)} \${devicePixelRatio}\`;
      if (view2 === this.#view && painting === this.#painted) return;
      const width = this.#region.clientWidth;
      if (width < 60) return;
      this.#painted = painting;
      const picture = pictureOf(view2, pool);
      const layout = layoutOf(picture.lanes, width, Math.max(360, Math.min(760, innerHeight * 0.66)));
      const look = this.#lookOf();
      const begin = now - this.#span;
      this.#fit(layout, look.ratio);
      this.#strip.update(view2, pool.id, picture, layout, look, this.#span, begin);
      this.#chosen = followed(picture, this.#chosen);
      if (this.#chosen !== void 0 && this.#chosen.item.to < begin) this.#chosen = void 0;
      const queue2 = view2 === this.#view && this.#scene !== void 0 ? this.#scene.queue : stepsOf(view2, pool);
      this.#view = view2;
      const scrolled = this.#region.scrollTop;
      const base2 = { picture, layout, look, strip: this.#strip, queue: queue2, queueTop: queueTop(queue2), begin, now, scrolled };
      const pointed = this.#pointed(base2);
      this.#scene = { ...base2, chosen: this.#chosen, pointed };
      paintFrame(this.#context, this.#scene);
      this.#showTip(pointed);
    }
    #lookOf() {
      const ratio = devicePixelRatio;
      if (this.#look?.ratio === ratio) return this.#look;
      const palette = paletteOf();
      const { fontFamily } = getComputedStyle(document.documentElement);
      const fontOf = (size) => \`\${Math.round(size * ratio)}px \${fontFamily}\`;
      this.#look = {
        palette,
        ratio,
        font: fontOf(12),
        small: fontOf(10),
        hatch: hatchOf(this.#context, palette.wait, ratio)
      };
      return this.#look;
    }
    #fit(layout, ratio) {
      const width = Math.round(layout.width * ratio);
      const height2 = Math.round(layout.view * ratio);
      if (this.#canvas.width !== width) this.#canvas.width = width;
      if (this.#canvas.height !== height2) {
        this.#canvas.height = height2;
        this.#canvas.style.height = \`\${layout.view}px\`;
        this.#region.style.height = \`\${layout.view}px\`;
      }
      const rest = \`\${layout.content + layout.axis - layout.view}px\`;
      if (this.#spacer.style.height !== rest) this.#spacer.style.height = rest;
    }
    #pointed(scene) {
      if (this.#pointer === void 0) return void 0;
      const { layout, picture, begin, now, scrolled } = scene;
      const { x, y } = this.#pointer;
      const lane = rowAt(layout, y, scrolled);
      if (lane === -1 || x < layout.gutter) return void 0;
      const per = (now - begin) / (layout.width - layout.gutter);
      const item = hit(picture.items[lane] ?? [], begin + (x - layout.gutter) * per, 4 * per, now);
      return item === void 0 ? void 0 : { lane, item };
    }
    #point(event) {
      const box = this.#region.getBoundingClientRect();
      this.#pointer = event === void 0 ? void 0 : { x: event.clientX - box.left, y: event.clientY - box.top };
      this.#dirty();
    }
    #click(event) {
      if (this.#scene === void 0) return;
      const box = this.#region.getBoundingClientRect();
      this.#pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
      const choice = this.#pointed(this.#scene);
      this.#choose(choice);
      if (choice !== void 0) this.#enter(choice.item);
    }
    #key(event) {
      const scene = this.#scene;
      if (scene === void 0 || event.ctrlKey || event.altKey || event.metaKey) return;
      const move = moveOf(event.key);
      if (move !== void 0) this.#choose(moved(scene.picture, this.#chosen, move, scene.begin, scene.now));
      else if (event.key === "Enter" && this.#chosen !== void 0) this.#enter(this.#chosen.item);
      else if (event.key === "Escape") this.#choose(void 0);
      else return;
      this.#pointer = void 0;
      event.preventDefault();
    }
    #choose(choice) {
      this.#chosen = choice;
      const scene = this.#scene;
      if (scene === void 0) return;
      const row = choice === void 0 ? void 0 : scene.layout.rows[choice.lane];
      if (row !== void 0) this.#region.scrollTop = scrolledTo(scene.layout, row, scene.scrolled);
      say(byId("spoken", HTMLElement), choice === void 0 ? "" : this.#words(scene.picture, choice, scene.now));
      this.#dirty();
    }
    /** Beside a mark, and in the write lane, the lane is not said by the item itself. */
    #words(picture, { lane, item }, now) {
      const row = picture.lanes[lane];
      return item.type === "note" && row !== void 0 ? \`\${laneName(row)}: \${spoken(item, now)}\` : spoken(item, now);
    }
    #enter(item) {
      const lease = item.type === "note" ? item.note.lease : item.type === "lease" || item.type === "write" ? item.lease : void 0;
      if (lease === void 0) return;
      this.#tip.hide();
      this.#open(lease);
    }
    #showTip(pointed) {
      const scene = this.#scene;
      const keyboard = document.activeElement === this.#region ? this.#chosen : void 0;
      const choice = pointed ?? keyboard;
      if (scene === void 0 || choice === void 0) {
        this.#tip.hide();
        return;
      }
      const box = this.#region.getBoundingClientRect();
      const row = scene.layout.rows[choice.lane];
      const { x, width } = placeOf2(scene, choice.item);
      const at = pointed === void 0 ? x + Math.min(width, 40) : this.#pointer?.x ?? 0;
      const scrolled = row !== void 0 && row.y >= scene.layout.fixed ? scene.scrolled : 0;
      const bottom = (row === void 0 ? 0 : row.y + row.height) - scrolled;
      this.#tip.show(choice.item, scene.now, box.left + at, box.top + bottom + 6, row?.height ?? 0);
    }
    #spanButton(span) {
      const button = element("button", "", \`\${span / 1e3} s\`);
      button.type = "button";
      button.setAttribute("aria-pressed", String(span === this.#span));
      button.addEventListener("click", () => {
        this.#span = span;
        for (const each of button.parentElement?.children ?? [])
          each.setAttribute("aria-pressed", String(each === button));
        this.#dirty();
      });
      return button;
    }
  };
  function stepsOf(view2, pool) {
    return queueSteps(view2.ticks, pool.id, view2.server.interval);
  }

  // scale.ts
  var least = 0.01;
  function logScale(values) {
    const positive = values.filter((value) => value >= least && Number.isFinite(value));
    const high = Math.ceil(Math.log10(Math.max(1, ...positive)) - 1e-9);
    const low = Math.min(high - 3, Math.floor(Math.log10(Math.min(1, ...positive)) + 1e-9));
    const from = Math.max(low, Math.log10(least));
    const ticks = Array.from({ length: high - from + 1 }, (_, index) => Number((10 ** (from + index)).toPrecision(1)));
    return {
      ticks,
      place: (value) => Math.max(0, Math.min(1, (Math.log10(Math.max(value, least)) - from) / (high - from)))
    };
  }
  var shareScale = {
    ticks: [0, 0.5, 1],
    place: (value) => Math.max(0, Math.min(1, value))
  };
  function pathOf(points, line, scale, from, to, gap) {
    let path = "";
    let last;
    for (const { at, values } of points) {
      const value = values[line];
      if (value === void 0 || at < from) {
        last = void 0;
        continue;
      }
      const x = (at - from) / (to - from) * 100;
      const begins = last === void 0 || at - last > gap;
      path += \`\${begins ? "M" : "L"}\${x.toFixed(2)} \${(100 - scale.place(value) * 100).toFixed(2)}\${begins ? "h.2" : ""}\`;
      last = at;
    }
    return path;
  }
  function nearestPoint(points, at) {
    let best;
    for (const point of points) if (best === void 0 || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
    return best;
  }

  // chart.ts
  var height = 120;
  var Chart = class {
    box = element("figure", "panel chart");
    #options;
    #read = element("figcaption", "read");
    #values;
    #when = element("span");
    #svg = svg("svg", { tabindex: 0, role: "application", "aria-roledescription": "chart" });
    #grid = svg("g");
    #plot = svg("svg", { preserveAspectRatio: "none", viewBox: "0 0 100 100", y: 4, height: height - 22 });
    #paths;
    #cursor = svg("line", { class: "cursor", y1: 4, y2: height - 18, visibility: "hidden" });
    #spoken = element("p", "hidden");
    #points = [];
    #from = 0;
    #to = 1;
    #at;
    #drawn = "";
    constructor(options) {
      this.#options = options;
      this.#values = options.lines.map(() => element("b"));
      this.#paths = options.lines.map((_, index) => svg("path", { class: \`line-\${index}\` }));
      for (const [index, value] of this.#values.entries()) {
        const read2 = element("span", "reading");
        read2.append(element("span", \`swatch swatch-\${index}\`), \`\${options.lines[index]} \`, value);
        this.#read.append(read2, " ");
      }
      this.#read.append(this.#when);
      this.#spoken.setAttribute("aria-live", "polite");
      this.#plot.append(...this.#paths.toReversed());
      this.#svg.append(this.#grid, this.#plot, this.#cursor);
      this.box.ariaLabel = options.title;
      this.box.append(element("h2", "", options.title), this.#read, this.#svg, this.#spoken);
      this.#svg.addEventListener("pointermove", (event) => this.#point(this.#timeAt(event)));
      this.#svg.addEventListener("pointerleave", () => this.#point(void 0));
      this.#svg.addEventListener("blur", () => this.#point(void 0));
      this.#svg.addEventListener("keydown", (event) => this.#key(event));
      new ResizeObserver(() => this.#draw()).observe(this.box);
    }
    update(points, from, to) {
      this.#points = points.filter(({ at }) => at >= from);
      this.#from = from;
      this.#to = to;
      this.#draw();
    }
    #draw() {
      const width = this.#svg.clientWidth;
      const { lines: lines2, scaleOf, format, gap } = this.#options;
      const left = 46;
      if (width <= left) return;
      const values = this.#points.flatMap((point) => point.values.filter((value) => value !== void 0));
      const scale = scaleOf(values);
      set(this.#plot, { x: left, width: width - left });
      for (const [index, path] of this.#paths.entries()) {
        set(path, { d: pathOf(this.#points, index, scale, this.#from, this.#to, gap) });
      }
      const drawn = \`\${width} \${scale.ticks.join()} \${Math.round((this.#to - this.#from) / 1e3)}\`;
      if (drawn !== this.#drawn) this.#drawGrid(scale, left, width);
      this.#drawn = drawn;
      const shown = this.#at === void 0 ? this.#points.at(-1) : nearestPoint(this.#points, this.#at);
      for (const [index, place] of this.#values.entries()) {
        const value = shown?.values[index];
        say(place, value === void 0 ? "–" : format(value));
      }
      const x = shown === void 0 ? 0 : left + (shown.at - this.#from) / (this.#to - this.#from) * (width - left);
      set(this.#cursor, {
        x1: x,
        x2: x,
        visibility: this.#at === void 0 || shown === void 0 ? "hidden" : "visible"
      });
      say(this.#when, this.#at === void 0 || shown === void 0 ? "" : \`at \${clockTime(shown.at)}\`);
      const said = lines2.map((line, index) => \`\${line} \${this.#values[index]?.textContent}\`).join(", ");
      set(this.#svg, { "aria-label": \`\${this.#options.title}: \${said}\` });
    }
    #drawGrid(scale, left, width) {
      const parts = [];
      for (const value of scale.ticks) {
        const y = 4 + (1 - scale.place(value)) * (height - 22);
        const text = svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" });
        text.textContent = this.#options.format(value);
        parts.push(svg("line", { class: "grid", x1: left, x2: width, y1: y, y2: y }), text);
      }
      const seconds = (this.#to - this.#from) / 1e3;
      const unit = seconds >= 60 ? \`−\${Math.round(seconds / 60)} min\` : \`−\${Math.round(seconds)} s\`;
      for (const [text, x, anchor] of [
        [unit, left, "start"],
        ["now", width, "end"]
      ]) {
        const label = svg("text", { x, y: height - 2, "text-anchor": anchor });
        label.textContent = text;
        parts.push(label);
      }
      this.#grid.replaceChildren(...parts);
    }
    #timeAt(event) {
      const box = this.#plot.getBoundingClientRect();
      return this.#from + (event.clientX - box.left) / Math.max(1, box.width) * (this.#to - this.#from);
    }
    #point(at) {
      this.#at = at;
      this.#draw();
    }
    #key(event) {
      const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
      if (event.key === "Escape") this.#point(void 0);
      if (step === 0) return;
      event.preventDefault();
      const at = this.#at ?? this.#to;
      const shown = nearestPoint(this.#points, at);
      const index = shown === void 0 ? -1 : this.#points.indexOf(shown) + (this.#at === void 0 ? 0 : step);
      this.#point(this.#points[Math.max(0, Math.min(this.#points.length - 1, index))]?.at);
      say(this.#spoken, \`\${this.#when.textContent}: \${this.#svg.getAttribute("aria-label")}\`);
    }
  };

  // trends.ts
  var lines = ["p50", "p95", "p99"];
  var longest = 6e5;
  var ranges = [6e4, 12e4, 3e5, longest];
  var times = { lines, scaleOf: logScale, format: duration };
  var Trends = class {
    #waits = new Chart({ ...times, title: "Waits of those who got a lease", gap: 16e3 });
    #holds = new Chart({ ...times, title: "How long leases were held", gap: 16e3 });
    #delay = new Chart({ ...times, lines: ["longest delay"], title: "Event loop late", gap: 3e3 });
    #busy = new Chart({
      lines: ["busy"],
      title: "Event loop busy",
      scaleOf: () => shareScale,
      format: share,
      gap: 3e3
    });
    constructor() {
      const charts = [this.#waits, this.#holds, this.#delay, this.#busy];
      byId("trends", HTMLElement).append(...charts.map(({ box }) => box));
    }
    update(view2, pool) {
      const { now, window } = view2.server;
      const trends2 = view2.trends.filter((trend) => trend.pool === pool.id);
      const told = now - (trends2[0]?.at ?? now);
      const from = now - (ranges.find((range) => range >= told) ?? longest);
      const wait = trends2.map((trend) => pointOf(trend.at, trend.wait));
      const hold = trends2.map((trend) => pointOf(trend.at, trend.hold));
      this.#waits.update(wait, from, now);
      this.#holds.update(hold, from, now);
      this.#delay.update(
        view2.ticks.map(({ at, loop }) => ({ at, values: [loop.delay] })),
        now - window,
        now
      );
      this.#busy.update(
        view2.ticks.map(({ at, loop }) => ({ at, values: [loop.busy] })),
        now - window,
        now
      );
    }
  };
  function pointOf(at, { count: count2, p50, p95, p99 }) {
    return { at, values: count2 === 0 ? [void 0, void 0, void 0] : [p50, p95, p99] };
  }

  // main.ts
  var base = baseOf(location);
  var clock = new ServerClock();
  var view;
  var frozen;
  var chosenPool;
  var linkState = { kind: "connecting" };
  var heard;
  var written;
  var animation = new Animation(draw, () => frozen === void 0 && timeline.moving && !silent());
  var detail = new Detail((pool, lease) => leaseAddress(base, pool, lease));
  var open = (lease) => {
    const shown = shownPool();
    if (shown !== void 0) void detail.show(shown.id, lease, () => view?.server.now ?? 0);
  };
  var timeline = new Timeline(open, () => animation.draw());
  var header = new Header((pool) => {
    chosenPool = pool;
    timeline.forget();
    written = void 0;
    animation.draw();
  });
  var gauges = new Gauges();
  var trends = new Trends();
  var tables = new Tables(open);
  var list = new List(open, rewrite);
  var link = new Link(base, browser, {
    take(report) {
      const local = performance.now();
      const applied = apply(view, report);
      if (applied.incomplete) link.complete();
      if (applied.view === view) return;
      if (applied.view?.server.id !== view?.server.id) {
        clock.forget();
        timeline.forget();
        chosenPool = void 0;
      }
      view = applied.view;
      heard = local;
      clock.sample(report.server.now, local);
      animation.draw();
    },
    known() {
      const tick = view?.ticks.at(-1)?.number;
      return view === void 0 || tick === void 0 ? void 0 : { tick, server: view.server.id };
    },
    state(state) {
      linkState = state;
      showState();
    }
  });
  function showState() {
    showLink(linkState, quiet(), shownPool()?.closed ?? false);
  }
  function quiet() {
    return heard === void 0 ? void 0 : performance.now() - heard;
  }
  function silent() {
    return (quiet() ?? 0) >= 3e3;
  }
  function shownPool() {
    const pools = (frozen?.view ?? view)?.pools ?? [];
    return pools.find(({ id }) => id === chosenPool) ?? pools[0];
  }
  function rewrite() {
    written = void 0;
    animation.draw();
  }
  function nowOf(known3) {
    const { now, interval } = known3.server;
    return playhead(clock.now(performance.now()) ?? now, now, interval);
  }
  function draw() {
    const shown = frozen?.view ?? view;
    const pool = shownPool();
    if (shown === void 0 || pool === void 0) return;
    timeline.draw(shown, pool, frozen?.now ?? nowOf(shown));
    if (shown === written) return;
    written = shown;
    const parts = [
      () => header.update(shown.server, shown.pools, pool),
      () => gauges.update(pool, shown.ticks),
      () => trends.update(shown, pool),
      () => tables.update(shown, pool),
      () => list.update(shown, pool),
      showState
    ];
    for (const part of parts) setTimeout(part);
  }
  var pause = byId("pause", HTMLButtonElement);
  pause.addEventListener("click", () => {
    frozen = frozen === void 0 && view !== void 0 ? { view, now: nowOf(view) } : void 0;
    pause.setAttribute("aria-pressed", String(frozen !== void 0));
    say(pause, frozen === void 0 ? "Pause" : "Paused");
    rewrite();
  });
  startTheme(byId("theme", HTMLButtonElement), () => timeline.recolour());
  setInterval(showState, 1e3);
  link.start();
  var unseenFor = 5e3;
  var resting;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (document.hidden) resting = setTimeout(() => link.stop(), unseenFor);
    else link.start();
  });
})();
</script>
</body>
</html>
`,
  policy: `default-src 'none'; script-src 'sha256-jNZNq5N+3wcm4kb9VrrAf/+n2Xk8x2wdZs0Y0G1kGlk='; style-src 'sha256-4ArmPJ/d/ULjoREOq79gDIY0DY92Wr2LwNEF6bfYL9w='; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`,
};
