/** The merged config as a user may save and train it. */
import { CopyButton } from './copy-button.js';

export function ConfigText({ text }: { readonly text: string }) {
  return (
    <div class="text-box">
      <CopyButton text={text} what="config" />
      <pre tabIndex={0} role="region" aria-label="Config as YAML">
        {text}
      </pre>
    </div>
  );
}
