import library from '../ava.config.js';

// With those that `npm test` leaves out.
export default { ...library, files: ['spec/**/*.spec.ts'] };
