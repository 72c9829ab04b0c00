import { keyOf, openDatabase, selectByKey } from '../support/database.ts';
import { type Contender, expectRow, nothing, oneTurn } from './contender.ts';

/**
 * No pool at all: better-sqlite3 with one connection that is simply there, so what is left is the loop, its awaits
 * and, in `select`, a statement prepared once and run synchronously. Nothing that pools can be cheaper.
 */
export const driver: Contender = {
  name: 'floor',
  open(file) {
    const db = openDatabase(file);
    const statement = db.prepare(selectByKey);
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) await nothing(db);
      },
      async contended(times) {
        for (let i = 0; i < times; i++) {
          await nothing(db);
          await oneTurn;
        }
      },
      async scoped(times) {
        for (let i = 0; i < times; i++) await nothing(db);
      },
      async select(times) {
        for (let i = 0; i < times; i++) expectRow(statement.get(keyOf(i)));
      },
      async close() {
        db.close();
      },
      queue: undefined,
    };
  },
};
