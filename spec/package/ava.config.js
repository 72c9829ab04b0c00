// The checks of the packed package: they install from the registry, which is not for every `npm test`.
export default {
  extensions: ['ts'],
  files: ['spec/package/*.check.ts'],
};
