const SPACE = 0x20;
const TAB = 0x09;

/**
 * Without the spaces and tabs at both ends. Not `/[ \t]+$/`: that looks from each blank to the end of its run, so that a peer's 100 KiB of
 * blanks within a text held a process for seconds. Nor `trim`, which takes line ends and much of Unicode for white space.
 */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (end > start && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit === SPACE || unit === TAB;
}
