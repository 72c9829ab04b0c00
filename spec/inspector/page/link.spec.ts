import test from 'ava';
import { Link, type LinkState, type Surroundings } from '../../../lib/inspector/page/link.ts';
import { settled } from '../../support/gate.ts';
import { reportOf, tickOf } from './reports.ts';

const report = JSON.stringify(reportOf({ complete: true, ticks: [tickOf(1)] }));

interface Stream {
  readonly address: string;
  open: boolean;
  say(data: string): void;
  fail(final?: boolean): void;
}

/** A browser of which each event is brought about by the test, and a clock that only it moves. */
class Browser implements Surroundings {
  readonly streams: Stream[] = [];
  readonly asked: string[] = [];
  /** What is answered; nothing is, where it is undefined. */
  answer: { readonly status: number; readonly body: string } | undefined = { status: 200, body: report };
  #timers: { readonly due: number; readonly call: () => void }[] = [];
  #now = 0;

  get last(): Stream {
    return this.streams.at(-1) as Stream;
  }

  open(address: string, message: (data: string) => void, failure: (final: boolean) => void) {
    const stream = { address, open: true, say: message, fail: (final = false) => failure(final) };
    this.streams.push(stream);
    return {
      close: () => {
        stream.open = false;
      },
    };
  }

  async get(address: string) {
    this.asked.push(address);
    const { answer } = this;
    if (answer === undefined) throw new TypeError('Failed to fetch');
    return { status: answer.status, text: async () => answer.body };
  }

  after(delay: number, call: () => void) {
    const timer = { due: this.#now + delay, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  async pass(time: number): Promise<void> {
    const end = this.#now + time;
    await settled();
    for (;;) {
      const [next] = this.#timers.filter(({ due }) => due <= end).toSorted((a, b) => a.due - b.due);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.due;
      next.call();
      await settled();
    }
    this.#now = end;
  }
}

function started(known?: { tick: number; server: string }) {
  const browser = new Browser();
  const states: LinkState[] = [];
  let taken = 0;
  const link = new Link('/x/', browser, {
    take: () => void taken++,
    known: () => known,
    state: (state) => void states.push(state),
  });
  link.start();
  return { browser, link, states, state: () => states.at(-1), taken: () => taken };
}

test('events are listened to, and make it live', (t) => {
  const { browser, state, taken } = started();
  t.deepEqual(state(), { kind: 'connecting' });
  t.is(browser.last.address, '/x/events');
  browser.last.say(report);
  t.deepEqual(state(), { kind: 'live' });
  t.is(taken(), 1);
});

test('one failure is left to the browser, which tries again itself', async (t) => {
  const { browser, state } = started();
  browser.last.say(report);
  browser.last.fail();
  browser.last.say(report);
  browser.last.fail();
  await browser.pass(900);
  t.deepEqual(browser.asked, []);
  t.deepEqual(state(), { kind: 'live' });
});

test('after two failures without a message in between it is asked once a second', async (t) => {
  const { browser, state } = started({ tick: 7, server: 'a' });
  browser.last.fail();
  browser.last.fail();
  await browser.pass(3500);
  t.false(browser.last.open);
  t.deepEqual(
    browser.asked,
    Array.from({ length: 4 }, () => '/x/data?after=7&server=a'),
  );
  t.deepEqual(state(), { kind: 'polling' });
});

test('a stream that was refused is not waited for', async (t) => {
  const { browser, state } = started();
  browser.last.fail(true);
  await browser.pass(0);
  t.deepEqual(browser.asked, ['/x/data']);
  await settled();
  t.deepEqual(state(), { kind: 'polling' });
});

test('a stream of which nothing is heard is given up', async (t) => {
  const { browser, state } = started();
  await browser.pass(5000);
  t.deepEqual(browser.asked, ['/x/data']);
  t.deepEqual(state(), { kind: 'polling' });
});

test('while it is polled, events are tried again every 15 seconds, and end the polling when they come', async (t) => {
  const { browser, state } = started();
  browser.last.fail(true);
  await browser.pass(14_000);
  t.is(browser.streams.length, 1);
  await browser.pass(1000);
  t.is(browser.streams.length, 2);
  browser.last.fail();
  await browser.pass(15_000);
  t.is(browser.streams.length, 3);
  browser.last.say(report);
  const asked = browser.asked.length;
  await browser.pass(4000);
  t.is(browser.asked.length, asked);
  t.deepEqual(state(), { kind: 'live' });
});

test('there is never more than one stream open', async (t) => {
  const { browser } = started();
  for (let round = 0; round < 5; round++) {
    browser.last.fail();
    browser.last.fail();
    t.is(browser.streams.filter(({ open }) => open).length, 0);
    await browser.pass(15_000);
    t.is(browser.streams.filter(({ open }) => open).length, 1);
  }
});

for (const [status, kind, words] of [
  [401, 'refused', 'You are not signed in any more.'],
  [403, 'refused', 'You may not see this.'],
  [404, 'refused', 'The inspector is not here any more.'],
  [502, 'failing', 'The server answers with status 502.'],
] as const) {
  test(`status ${status} is told in words, and left again when it is over`, async (t) => {
    const { browser, state } = started();
    browser.answer = { status, body: 'no' };
    browser.last.fail(true);
    await browser.pass(4000);
    t.deepEqual(state(), { kind, words });
    t.is(browser.asked.length, 2);
    browser.answer = { status: 200, body: report };
    await browser.pass(3000);
    t.deepEqual(state(), { kind: 'polling' });
  });
}

test('a server that does not answer is said not to', async (t) => {
  const { browser, state } = started();
  browser.answer = undefined;
  browser.last.fail(true);
  await browser.pass(0);
  await settled();
  t.deepEqual(state(), { kind: 'failing', words: 'The server does not answer.' });
});

test('what is no report is said not to be one', (t) => {
  const { browser, state, taken } = started();
  browser.last.say('<html>Please sign in</html>');
  t.is(state()?.kind, 'failing');
  t.is(taken(), 0);
});

test('another protocol ends it all, and says what to do', async (t) => {
  const { browser, state, taken } = started();
  browser.last.say(JSON.stringify({ ...reportOf({ complete: true }), protocol: 2 }));
  const said = state();
  t.is(said?.kind, 'refused');
  t.true(said !== undefined && 'words' in said && said.words.includes('Load the page again'));
  t.false(browser.last.open);
  await browser.pass(60_000);
  t.deepEqual([browser.asked.length, browser.streams.length, browser.timers, taken()], [0, 1, 0, 0]);
});

test('however often a complete report is asked for, one is under way', async (t) => {
  const { browser, link, taken } = started({ tick: 7, server: 'a' });
  browser.last.say(report);
  link.complete();
  link.complete();
  await settled();
  t.deepEqual(browser.asked, ['/x/data']);
  t.is(taken(), 2);
  link.complete();
  t.is(browser.asked.length, 2);
});

test('nothing is left once it is stopped', async (t) => {
  const { browser, link } = started();
  browser.last.fail(true);
  await browser.pass(2000);
  link.stop();
  const asked = browser.asked.length;
  await browser.pass(60_000);
  t.deepEqual([browser.asked.length, browser.timers], [asked, 0]);
  t.true(browser.streams.every(({ open }) => !open));
});

test('what was stopped goes on when it is started again, once however often that is', async (t) => {
  const { browser, link, state, taken } = started();
  browser.last.say(report);
  browser.last.fail();
  link.stop();
  t.false(browser.last.open);
  for (let times = 0; times < 3; times++) link.start();
  t.is(browser.streams.length, 2);
  t.deepEqual(state(), { kind: 'connecting' });
  // That of the former stream is not counted.
  browser.last.fail();
  browser.last.say(report);
  t.deepEqual(state(), { kind: 'live' });
  t.is(taken(), 2);
  await browser.pass(4000);
  t.deepEqual(browser.asked, []);
});
