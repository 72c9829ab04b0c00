import { type Client, type ClientConfig, Connection } from 'pg';
import { outside } from '../clock.ts';

/** What pg's own connection has beside what is published. */
interface PgConnection extends Connection {
  connect(portOrSocket: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

interface PgClient extends Client {
  readonly sslNegotiation?: 'postgres' | 'direct';
  readonly processID: number;
  readonly secretKey: number;
}

/** A request that is on its way. */
export interface CancelRequest {
  /** Resolves when it was passed on, or can not be: only then is it sure not to hit what runs next. Never rejects. */
  readonly done: Promise<void>;
  abandon(): void;
}

/** Asks the server, by a connection of its own as the protocol has it, to end what runs on a connection. */
export function requestCancel(client: Client, config: ClientConfig): CancelRequest {
  const { host, port, processID, secretKey, ssl, sslNegotiation } = client as PgClient;
  const { promise, resolve } = Promise.withResolvers<void>();
  const connection = outside(() => new Connection({ ...config, ssl, sslNegotiation } as ClientConfig) as PgConnection);
  const send = (): void => connection.cancel(processID, secretKey);
  connection.once('connect', () => {
    if (!ssl) send();
    else if (sslNegotiation !== 'direct') connection.requestSsl();
  });
  connection.once('sslconnect', send);
  // The server closes it without an answer.
  connection.once('end', resolve);
  connection.on('error', () => connection.stream.destroy());
  outside(() => {
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
    else connection.connect(port, host);
  });
  return {
    done: promise,
    abandon: () => {
      connection.stream.destroy();
      resolve();
    },
  };
}
