/** A form over the page: Escape leaves it, errors of the server stand in it. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import './dialog.css';

interface Props {
  readonly title: string;
  /** of the button that does it */
  readonly action: string;
  /** throws an error in words where it fails; the dialog stays then */
  readonly submit: () => Promise<void>;
  readonly close: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ title, action, submit, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null),
    [error, setError] = useState<string>(),
    [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const go = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await submit();
      close();
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} class="form-dialog" aria-label={title} onClose={close}>
      <form onSubmit={(event) => void go(event)}>
        <h2>{title}</h2>
        {children}
        {error !== undefined && (
          <p class="problem" role="alert">
            {error}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={busy}>
            {busy ? 'One moment ...' : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** One option a line; empty lines do not count. */
export const optionLines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
