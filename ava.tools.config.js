import library from './ava.config.js';

// What `npm test` leaves out.
const files = library.files.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1));

export default { ...library, files };
