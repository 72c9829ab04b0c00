import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A certificate for localhost and 127.0.0.1, and of who has signed it. All in PEM. */
export interface Certificates {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Node can read certificates, but not make them, and not every machine has `openssl`: so they are put together here. */
export function makeCertificates(): Certificates {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = { name: 'Leasehold tests', key: authority.privateKey };
  const { privateKey } = server;
  return {
    ca: certificate({ name: issuer.name, key: authority.publicKey, extensions: authorityExtensions() }, issuer),
    certificate: certificate({ name: 'localhost', key: server.publicKey, extensions: [serverNames()] }, issuer),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

interface Subject {
  readonly name: string;
  readonly key: KeyObject;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, section 4.1, signed by ECDSA with SHA-256. */
function certificate(subject: Subject, issuer: { readonly name: string; readonly key: KeyObject }): string {
  const algorithm = sequence(identifier('2a8648ce3d040302'));
  const hour = 3_600_000;
  const time = (offset: number) => {
    const iso = new Date(Date.now() + offset).toISOString();
    return value(0x18, Buffer.from(`${iso.slice(0, 19).replaceAll(/[-T:]/g, '')}Z`));
  };
  const content = sequence(
    value(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(issuer.name),
    sequence(time(-hour), time(24 * hour)),
    name(subject.name),
    subject.key.export({ type: 'spki', format: 'der' }),
    value(0xa3, sequence(...subject.extensions)),
  );
  const der = sequence(content, algorithm, bits(sign('sha256', content, issuer.key)));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** It may sign certificates, and nothing else. */
function authorityExtensions(): Buffer[] {
  const isAuthority = sequence(value(0x01, Buffer.from([0xff])));
  const signsCertificates = value(0x03, Buffer.from([2, 0b0000_0100]));
  return [extension('551d13', isAuthority, true), extension('551d0f', signsCertificates, true)];
}

function serverNames(): Buffer {
  const addresses = [Buffer.from([127, 0, 0, 1]), Buffer.concat([Buffer.alloc(15), Buffer.from([1])])];
  return extension(
    '551d11',
    sequence(value(0x82, Buffer.from('localhost')), ...addresses.map((address) => value(0x87, address))),
  );
}

function extension(id: string, content: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [value(0x01, Buffer.from([0xff]))] : [];
  return sequence(identifier(id), ...critical, value(0x04, content));
}

function name(commonName: string): Buffer {
  return sequence(value(0x31, sequence(identifier('550403'), value(0x0c, Buffer.from(commonName)))));
}

const sequence = (...parts: readonly Buffer[]) => value(0x30, Buffer.concat(parts));
const integer = (bytes: Buffer) => value(0x02, bytes);
const identifier = (hex: string) => value(0x06, Buffer.from(hex, 'hex'));
const bits = (bytes: Buffer) => value(0x03, Buffer.concat([Buffer.from([0]), bytes]));

/** A value of ASN.1 in DER: what it is, how long, and its content. */
function value(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}
