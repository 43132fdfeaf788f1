/** As a shell takes it for one word. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word)
    ? word
    : word.includes("'")
      ? JSON.stringify(word).replaceAll(/[$`]/g, '\\$&')
      : `'${word}'`;
