/** Reading the config.json of a model component: every field is honoured, known to be harmless, or refused by name. */
import { UserError } from '../base/errors.js';

export type RawConfig = Readonly<Record<string, unknown>>;

/** One field and the only values this implementation knows for it. */
export type Allowed = Readonly<Record<string, readonly unknown[]>>;

/** Far above any model. What a config asks for is built as a graph, so that a stray zero too many must not. */
const LARGEST = 2 ** 20;

export class ConfigReader {
  /** @param where file or folder the config came from, for errors */
  constructor(
    private readonly raw: RawConfig,
    readonly where: string,
  ) {}

  // Of each field: its value, or diffusers' default (`fallback`) where an older file lacks it. A field may be null only where
  // that is the default. @throws UserError for any other type of value

  /** A whole number from 1. */
  count<F extends number | null>(key: string, fallback: F, most = LARGEST): number | F {
    return this.atMost(key, most, this.checked<number | F>(key, fallback, isCount, 'a whole number from 1'));
  }

  number(key: string, fallback: number): number {
    return this.checked(key, fallback, Number.isFinite, 'a number');
  }

  positive(key: string, fallback: number): number {
    return this.checked(key, fallback, (v) => Number.isFinite(v) && (v as number) > 0, 'a number above 0');
  }

  flag(key: string, fallback: boolean): boolean {
    return this.checked(key, fallback, (v) => typeof v === 'boolean', 'true or false');
  }

  counts(key: string, fallback: readonly number[], most = LARGEST): readonly number[] {
    return this.atMost(key, most, this.checked(key, fallback, isListOf(isCount), 'a list of whole numbers from 1'));
  }

  names(key: string, fallback: readonly string[]): readonly string[] {
    return this.checked(
      key,
      fallback,
      isListOf((v) => typeof v === 'string'),
      'a list of names',
    );
  }

  /** One whole number for all stages, or one per stage. */
  countOrCounts<F extends number | null>(key: string, fallback: F, most = LARGEST): number | readonly number[] | F {
    const value = this.checked<number | readonly number[] | F>(
      key,
      fallback,
      (v) => isCount(v) || isListOf(isCount)(v),
      'a whole number from 1 or a list of them',
    );
    return this.atMost(key, most, value);
  }

  /** @throws UserError naming the first field whose value is not one of those allowed */
  onlyAllow(allowed: Allowed): void {
    for (const [key, values] of Object.entries(allowed)) {
      const value = this.raw[key];
      if (value === undefined || values.some((v) => JSON.stringify(v) === JSON.stringify(value))) continue;
      throw new UserError(
        `${this.where}: ${key} = ${shown(value)} is not supported; supported: ${values.map((v) => JSON.stringify(v)).join(', ')}`,
      );
    }
  }

  /** A field that is null sets nothing. @throws UserError naming the first field nobody knows */
  refuseUnknown(known: readonly string[]): void {
    const stranger = Object.keys(this.raw).find(
      (key) => !known.includes(key) && !key.startsWith('_') && this.raw[key] !== null,
    );
    if (stranger !== undefined)
      throw new UserError(
        `${this.where}: unknown field "${stranger}" = ${shown(this.raw[stranger])}; it may change the model, so it is not ignored`,
      );
  }

  private checked<T>(key: string, fallback: T, is: (value: unknown) => boolean, what: string): T {
    const value = this.raw[key] === undefined ? fallback : this.raw[key];
    if (value === fallback || is(value)) return value as T;
    throw new UserError(`${this.where}: ${key} = ${shown(value)} is not supported; it must be ${what}`);
  }

  private atMost<T>(key: string, most: number, value: T): T {
    const numbers = [value].flat();
    if (numbers.length > MAX_STAGES)
      throw new UserError(`${this.where}: ${key} has ${numbers.length} values; no network has more than ${MAX_STAGES}`);
    if (numbers.some((n) => typeof n === 'number' && n > most))
      throw new UserError(`${this.where}: ${key} = ${shown(value)} is more than any such network has; at most ${most}`);
    return value;
  }
}

/** Of a network that halves its picture at each. */
const MAX_STAGES = 16;
const MAX_SHOWN = 80;
const shown = (value: unknown): string => {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
};

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
const isListOf =
  (is: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.every(is);
