/**
 * Which recipients are in somebody's hands. Only in memory: a process that died holds nothing, and what it had in flight is due
 * again (RFC 5321 §6.1 allows the repetition, never the loss).
 */
export class Claims<Message> {
  #byMessage = new Map<Message, Set<number>>();
  #count = 0;

  /** Recipients claimed. */
  get count(): number {
    return this.#count;
  }

  add(message: Message, place: number): void {
    let places = this.#byMessage.get(message);
    if (places === undefined) {
      places = new Set();
      this.#byMessage.set(message, places);
    }
    if (places.has(place)) return;
    places.add(place);
    this.#count++;
  }

  has(message: Message, place: number): boolean {
    return this.#byMessage.get(message)?.has(place) ?? false;
  }

  hasAny(message: Message): boolean {
    return this.#byMessage.has(message);
  }

  remove(message: Message, place: number): void {
    const places = this.#byMessage.get(message);
    if (places === undefined || !places.delete(place)) return;
    this.#count--;
    if (places.size === 0) this.#byMessage.delete(message);
  }
}
