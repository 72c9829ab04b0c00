import type { Command } from './command.ts';
import { topOfInspector } from './top/inspector.ts';
import { readSettings } from './top/settings.ts';

export const top: Command = {
  name: 'top',
  summary: 'who holds, who waits and what is slow, in a terminal',
  usage: `Usage: leasehold top [options] <url>
       leasehold top [options] --file <path>

Shows the inspector at a URL, such as http://127.0.0.1:3000/_pool, and goes on until you press q: how full each pool is,
who holds its connections and who waits, what was slow and what went wrong. Where the output is no terminal: one line
a pool every two seconds.

With --file: what can be told of a database file from outside, without opening it: who has it open, who writes, who
reads, how large its log is.

Options:
  --pool <name>       this pool alone, where the inspector shows several
  --once              one picture, then end
  --json              each report as one line of JSON, instead of a picture
  --interval <ms>     time between two pictures, at least 500
  --lines <n>         height of the picture, instead of that of the terminal
  --header <header>   sent with each request, as 'Name: value'; may be there several times
  --no-color          no colours, as with NO_COLOR=1 in the environment; FORCE_COLOR=1 there is the opposite

Keys: q ends, Ctrl-L draws all anew, Ctrl-Z stops until fg.

A URL may have user:password@ in front of its host.

Exit codes: 0 after q, or when the one picture was shown; 1 when there was nothing to show; 2 for a command line that is
wrong; 130 after Ctrl-C.
`,
  async run(args, io) {
    const settings = readSettings(args, io);
    const { target } = settings;
    if (typeof target === 'string') {
      const { topOfFile } = await import('./top/file.ts');
      return await topOfFile(target, settings, io);
    }
    return await topOfInspector(target, settings, io);
  },
};
