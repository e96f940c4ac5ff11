/** The way to a value: keys, and positions in lists. */
export type KeyPath = readonly (string | number)[];

/**
 * Where the keys of a TOML text stand, so that a problem can name its line. The text has been parsed without a complaint
 * before: this looks only for the starts of keys and values and trusts the rest.
 */
export class Places {
  readonly #lines = new Map<string, number>();

  constructor(source: string) {
    new Scanner(source, (path, line) => {
      const key = JSON.stringify(path);
      if (!this.#lines.has(key)) this.#lines.set(key, line);
    }).document();
  }

  /** The line (from 1) of the value at `path`, else that of the nearest table around it, else 1. */
  line(path: KeyPath): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }
}

class Scanner {
  readonly #source: string;
  readonly #found: (path: KeyPath, line: number) => void;
  /** How many tables each array of tables has so far. */
  readonly #tables = new Map<string, number>();
  #at = 0;
  #line = 1;

  constructor(source: string, found: (path: KeyPath, line: number) => void) {
    this.#source = source;
    this.#found = found;
  }

  document(): void {
    let table: KeyPath = [];
    for (this.#blank(); this.#at < this.#source.length; this.#blank()) {
      const before = this.#at;
      if (this.#peek() === "[") table = this.#header();
      else this.#pair(table);
      // A scanner that stands still would never end; the text is one that the parser took, so this is for safety only.
      if (this.#at === before) this.#step();
    }
  }

  /** `[a.b]` or `[[a.b]]`; the result is the path of the table begun. */
  #header(): KeyPath {
    const list = this.#source.startsWith("[[", this.#at);
    this.#at += list ? 2 : 1;
    const keys = this.#keys("]");
    this.#at += list ? 2 : 1;
    let path: KeyPath = [];
    keys.forEach((key, position) => {
      path = [...path, key];
      const counted = JSON.stringify(path);
      const begun = this.#tables.get(counted);
      const starts = list && position === keys.length - 1;
      if (starts) this.#tables.set(counted, (begun ?? 0) + 1);
      if (starts || begun !== undefined) {
        this.#found(path, this.#line);
        path = [...path, starts ? (begun ?? 0) : (begun ?? 1) - 1];
      }
    });
    this.#found(path, this.#line);
    return path;
  }

  #pair(table: KeyPath): void {
    const line = this.#line;
    const keys = this.#keys("=");
    keys.forEach((_, position) => {
      this.#found([...table, ...keys.slice(0, position + 1)], line);
    });
    this.#step();
    this.#value([...table, ...keys]);
  }

  #value(path: KeyPath): void {
    this.#blank();
    const first = this.#peek();
    this.#found(path, this.#line);
    if (first === "[") this.#elements("]", (position) => this.#value([...path, position]));
    else if (first === "{") this.#elements("}", () => this.#pair(path));
    else if (first === '"' || first === "'") this.#string();
    else while (this.#at < this.#source.length && !/[,\]}\n#]/.test(this.#peek())) this.#step();
  }

  #elements(end: string, element: (position: number) => void): void {
    this.#step();
    for (let position = 0; ; position++) {
      this.#blank();
      if (this.#at >= this.#source.length || this.#peek() === end) break;
      const before = this.#at;
      element(position);
      this.#blank();
      if (this.#peek() === "," || this.#at === before) this.#step();
    }
    this.#step();
  }

  /** A dotted key, up to `end`, which is not taken. */
  #keys(end: "]" | "="): string[] {
    const keys: string[] = [];
    let bare = "";
    while (this.#at < this.#source.length && this.#peek() !== end) {
      const char = this.#peek();
      if (char === '"' || char === "'") {
        bare = this.#string();
        continue;
      }
      if (char === ".") {
        keys.push(bare);
        bare = "";
      } else if (char !== " " && char !== "\t") bare += char;
      this.#step();
    }
    return [...keys, bare];
  }

  /** A string of any of the four kinds; the result is its text as written between the quotes. */
  #string(): string {
    const quote = this.#peek();
    const delimiter = this.#source.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    for (let i = 0; i < delimiter.length; i++) this.#step();
    const start = this.#at;
    while (this.#at < this.#source.length && !this.#source.startsWith(delimiter, this.#at)) {
      if (quote === '"' && this.#peek() === "\\") this.#step();
      this.#step();
    }
    const written = this.#source.slice(start, this.#at);
    this.#at += delimiter.length;
    // Up to two quotes may stand right before a closing delimiter of three.
    while (delimiter.length === 3 && this.#peek() === quote) this.#at++;
    return written;
  }

  #blank(): void {
    for (;;) {
      const char = this.#peek();
      if (char === "#") while (this.#at < this.#source.length && this.#peek() !== "\n") this.#at++;
      else if (char === " " || char === "\t" || char === "\n" || char === "\r") this.#step();
      else return;
    }
  }

  #peek(): string {
    return this.#source[this.#at] ?? "";
  }

  #step(): void {
    if (this.#source[this.#at] === "\n") this.#line++;
    this.#at++;
  }
}
