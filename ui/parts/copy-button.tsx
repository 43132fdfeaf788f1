import { useState } from 'preact/hooks';

/** Puts a text on the clipboard, and says so. @param what it is, such as "command" */
export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  const [said, say] = useState<string>();
  // No clipboard in a page of http other than localhost, nor in some browsers for files.
  if (!('clipboard' in navigator)) return null;
  const copy = async (): Promise<void> => {
    say(
      await navigator.clipboard.writeText(text).then(
        () => 'Copied',
        () => 'Not allowed',
      ),
    );
    setTimeout(() => say(undefined), 1500);
  };
  return (
    <button type="button" class="small copy" aria-label={`Copy the ${what}`} onClick={() => void copy()}>
      <span role="status">{said ?? 'Copy'}</span>
    </button>
  );
}
