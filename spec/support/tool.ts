/**
 * Runs a program with the arguments it was called with. It ends with the code that `main` gives, and with 2 where `main`
 * throws, after the message of the error alone: what is wrong is the command or what it was run on.
 */
export async function runTool(main: (args: string[]) => Promise<number>): Promise<void> {
  // To strip types Node is asked for something it calls experimental, which is nothing to tell whoever runs a program.
  process.removeAllListeners('warning');
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
