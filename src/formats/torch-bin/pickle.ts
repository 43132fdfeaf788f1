/**
 * An interpreter for the part of Python's pickle that state dicts use. It makes plain values only. Functions and classes
 * are looked up in a table that the caller gives; everything else is refused by name, and nothing of the file is ever run.
 * Opcodes: CPython's Lib/pickletools.py.
 */

/** What a pickle can make here; `T` are the values that the caller's table makes. */
export type PickleValue<T> = null | boolean | number | string | T | PyTuple<T> | PyDict<T> | PickleValue<T>[];
export class PyTuple<T> {
  constructor(readonly items: readonly PickleValue<T>[]) {}
}
export class PyDict<T> {
  readonly map = new Map<string | number | boolean | null, PickleValue<T>>();
}

/** Names a pickle may use, as `module.name`: a value it may mention, or a function it may call on a tuple of arguments. */
export type Globals<T> = ReadonlyMap<
  string,
  { readonly value: T } | { readonly call: (args: readonly PickleValue<T>[]) => PickleValue<T> }
>;

export interface PickleRules<T> {
  readonly globals: Globals<T>;
  /** makes what the file stores outside of the pickle */
  readonly persistent: (id: PickleValue<T>) => T;
  /** names that stand for nothing: what they make, and what is put into it, is null and never looked at */
  readonly inert?: (global: string) => boolean;
}

/** What was refused and where; the caller adds the file and the fix. */
export class PickleError extends Error {}

type GlobalRef<T> = { readonly global: string; readonly spec: NonNullable<ReturnType<Globals<T>['get']>> };

/** @throws PickleError naming the opcode or global that is not allowed, or what is damaged */
export function unpickle<T extends object>(bytes: Buffer, rules: PickleRules<T>): PickleValue<T> {
  return new Machine(bytes, rules).run();
}

class Machine<T extends object> {
  private at = 0;
  private stack: PickleValue<T>[] = [];
  private readonly marks: PickleValue<T>[][] = [];
  private readonly memo = new Map<number, PickleValue<T>>();
  /** Names waiting for a call, kept apart from values by identity. */
  private readonly globals = new Map<object, GlobalRef<T>>();

  constructor(
    private readonly bytes: Buffer,
    private readonly rules: PickleRules<T>,
  ) {}

  run(): PickleValue<T> {
    for (;;) {
      const start = this.at,
        code = this.byte();
      if (code === STOP) break;
      const step = STEPS[code];
      if (!step)
        throw new PickleError(
          `opcode ${OPCODE_NAMES[code] ?? `0x${code.toString(16)}`} at byte ${start} is not one that tensors need`,
        );
      step(this);
    }
    const result = this.pop();
    if (this.stack.length > 0 || this.marks.length > 0) throw new PickleError('values are left over at its end');
    return this.plain(result);
  }

  take(count: number): Buffer {
    if (this.at + count > this.bytes.length)
      throw new PickleError(`ends at byte ${this.bytes.length} in the middle of a value`);
    return this.bytes.subarray(this.at, (this.at += count));
  }

  byte = (): number => this.take(1)[0];
  word = (): number => this.take(4).readUInt32LE();

  line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleError(`ends at byte ${this.bytes.length} in the middle of a name`);
    const text = this.take(end - this.at).toString('utf8');
    this.at++;
    return text;
  }

  push(value: PickleValue<T>): void {
    this.stack.push(value);
  }

  pop(): PickleValue<T> {
    if (this.stack.length === 0) throw new PickleError(`takes a value that is not there, before byte ${this.at}`);
    return this.stack.pop()!;
  }

  popMany(count: number): PickleValue<T>[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  mark(): void {
    this.marks.push(this.stack);
    this.stack = [];
  }

  /** The values since the last mark. */
  popMark(): PickleValue<T>[] {
    const values = this.stack,
      below = this.marks.pop();
    if (!below) throw new PickleError(`takes a mark that is not there, before byte ${this.at}`);
    this.stack = below;
    return values;
  }

  top(): PickleValue<T> {
    const value = this.pop();
    this.push(value);
    return value;
  }

  store(key: number): void {
    this.memo.set(key, this.top());
  }

  recall(key: number): void {
    if (!this.memo.has(key))
      throw new PickleError(`recalls value ${key}, which was never stored, before byte ${this.at}`);
    this.push(this.memo.get(key)!);
  }

  global(): void {
    const name = `${this.line()}.${this.line()}`,
      spec = this.rules.globals.get(name);
    if (!spec && this.rules.inert?.(name)) return this.push(null);
    if (!spec) throw new PickleError(`global ${JSON.stringify(name)} is not one that tensors need`);
    if ('value' in spec) return this.push(spec.value);
    const ref = {} as T;
    this.globals.set(ref, { global: name, spec });
    this.push(ref);
  }

  reduce(): void {
    const args = this.pop(),
      callee = this.pop();
    if (this.isInert(callee)) return this.push(null);
    const ref = typeof callee === 'object' && callee !== null ? this.globals.get(callee) : undefined;
    if (!ref || !('call' in ref.spec) || !(args instanceof PyTuple))
      throw new PickleError(`calls something that is not a function, before byte ${this.at}`);
    this.push(ref.spec.call(args.items.map((item) => this.plain(item))));
  }

  private isInert(value: PickleValue<T>): boolean {
    return value === null && this.rules.inert !== undefined;
  }

  /** A class and its arguments. */
  newObject(): void {
    const refused = new PickleError(`opcode NEWOBJ at byte ${this.at - 1} is not one that tensors need`);
    if (this.rules.inert === undefined) throw refused;
    this.pop();
    if (!this.isInert(this.pop())) throw refused;
    this.push(null);
  }

  persistent(): void {
    this.push(this.rules.persistent(this.plain(this.pop())));
  }

  /** A function is not data. */
  plain(value: PickleValue<T>): PickleValue<T> {
    const ref = typeof value === 'object' && value !== null ? this.globals.get(value) : undefined;
    if (ref) throw new PickleError(`uses global ${JSON.stringify(ref.global)} as a value`);
    return value;
  }

  setItems(pairs: readonly PickleValue<T>[]): void {
    const dict = this.top();
    if (this.isInert(dict)) return;
    if (!(dict instanceof PyDict) || pairs.length % 2 !== 0)
      throw new PickleError(`sets items of something that is not a dict, before byte ${this.at}`);
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i];
      if (typeof key === 'object' && key !== null)
        throw new PickleError(`has a dict key that is not text or a number, before byte ${this.at}`);
      dict.map.set(key, this.plain(pairs[i + 1]));
    }
  }

  append(values: readonly PickleValue<T>[]): void {
    const list = this.top();
    if (this.isInert(list)) return;
    if (!Array.isArray(list)) throw new PickleError(`appends to something that is not a list, before byte ${this.at}`);
    for (const value of values) list.push(this.plain(value));
  }

  /** torch gives the OrderedDict of a state dict one attribute, `_metadata` (versions of modules): dropped. */
  build(): void {
    const state = this.pop(),
      object = this.top();
    if (this.isInert(object)) return;
    const harmless =
      object instanceof PyDict && state instanceof PyDict && [...state.map.keys()].every((key) => key === '_metadata');
    if (!harmless)
      throw new PickleError(`opcode BUILD at byte ${this.at - 1} sets attributes other than a state dict's _metadata`);
  }

  protocol(): void {
    const version = this.byte();
    if (version !== 2) throw new PickleError(`is of pickle protocol ${version}, torch.save writes 2`);
  }

  /** Two's complement, little-endian. */
  long(): void {
    const digits = this.take(this.byte());
    let value = 0n;
    for (let i = digits.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]);
    const signed = Number(BigInt.asIntN(8 * digits.length, value));
    if (!Number.isSafeInteger(signed))
      throw new PickleError(`has a number of ${digits.length} bytes, before byte ${this.at}`);
    this.push(signed);
  }
}

const STOP = 0x2e;
type Step = <T extends object>(m: Machine<T>) => void;
/** What is allowed, by opcode. */
const STEPS: Readonly<Record<number, Step>> = {
  0x80: (m) => m.protocol(),
  0x28: (m) => m.mark(),
  0x63: (m) => m.global(),
  0x52: (m) => m.reduce(),
  0x51: (m) => m.persistent(),
  0x62: (m) => m.build(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4b: (m) => m.push(m.byte()),
  0x4d: (m) => m.push(m.take(2).readUInt16LE()),
  0x4a: (m) => m.push(m.take(4).readInt32LE()),
  0x8a: (m) => m.long(),
  0x47: (m) => m.push(m.take(8).readDoubleBE()),
  0x58: (m) => m.push(m.take(m.word()).toString('utf8')),
  0x81: (m) => m.newObject(),
  0x29: (m) => m.push(new PyTuple([])),
  0x74: (m) => m.push(new PyTuple(m.popMark())),
  0x85: (m) => m.push(new PyTuple(m.popMany(1))),
  0x86: (m) => m.push(new PyTuple(m.popMany(2))),
  0x87: (m) => m.push(new PyTuple(m.popMany(3))),
  0x5d: (m) => m.push([]),
  0x61: (m) => m.append([m.pop()]),
  0x65: (m) => m.append(m.popMark()),
  0x7d: (m) => m.push(new PyDict()),
  0x73: (m) => m.setItems(m.popMany(2)),
  0x75: (m) => m.setItems(m.popMark()),
  0x71: (m) => m.store(m.byte()),
  0x72: (m) => m.store(m.word()),
  0x68: (m) => m.recall(m.byte()),
  0x6a: (m) => m.recall(m.word()),
};

/** Names of all other opcodes, for messages. */
const OPCODE_NAMES: Readonly<Record<number, string>> = {
  0x30: 'POP',
  0x31: 'POP_MARK',
  0x32: 'DUP',
  0x46: 'FLOAT',
  0x49: 'INT',
  0x4c: 'LONG',
  0x50: 'PERSID',
  0x53: 'STRING',
  0x54: 'BINSTRING',
  0x55: 'SHORT_BINSTRING',
  0x56: 'UNICODE',
  0x67: 'GET',
  0x69: 'INST',
  0x64: 'DICT',
  0x6c: 'LIST',
  0x6f: 'OBJ',
  0x70: 'PUT',
  0x82: 'EXT1',
  0x83: 'EXT2',
  0x84: 'EXT4',
  0x8b: 'LONG4',
  0x42: 'BINBYTES',
  0x43: 'SHORT_BINBYTES',
  0x8c: 'SHORT_BINUNICODE',
  0x8d: 'BINUNICODE8',
  0x8e: 'BINBYTES8',
  0x8f: 'EMPTY_SET',
  0x90: 'ADDITEMS',
  0x91: 'FROZENSET',
  0x92: 'NEWOBJ_EX',
  0x93: 'STACK_GLOBAL',
  0x94: 'MEMOIZE',
  0x95: 'FRAME',
  0x96: 'BYTEARRAY8',
  0x97: 'NEXT_BUFFER',
  0x98: 'READONLY_BUFFER',
};
