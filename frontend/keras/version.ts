/** `version`: that of the package, which tests/package.test.ts compares with package.json. */
export const version = '0.1.0';
