/** The run's log; it follows the end unless one scrolls up. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { api } from './api.js';
import { attempt, logs } from './store.js';

/** Bytes from the end that are read at first. */
const TAIL = 65_536;
/** Characters that stay in the page. */
const MAX_TEXT = 1_000_000;

export function LogPanel({ id, name }: { readonly id: string; readonly name: string }) {
  const [text, setText] = useState<string>(),
    [follow, setFollow] = useState(true);
  const next = useRef(-TAIL),
    reading = useRef(false),
    box = useRef<HTMLPreElement>(null);
  const turn = logs.value.get(id) ?? 0;
  useEffect(() => {
    void attempt(async () => {
      if (reading.current) return;
      reading.current = true;
      try {
        for (;;) {
          const more = await api.log(id, next.current);
          next.current = more.next;
          setText((old) => ((old ?? '') + more.text).slice(-MAX_TEXT));
          if (more.text === '') return;
        }
      } finally {
        reading.current = false;
      }
    });
  }, [id, turn]);
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, follow]);
  return (
    <section class="panel log" aria-label={`Log of ${name}`}>
      <div class="controls">
        <h2>{name}</h2>
        <label>
          <input type="checkbox" checked={follow} onChange={(e) => setFollow(e.currentTarget.checked)} /> Follow the end
        </label>
      </div>
      <pre
        ref={box}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={`Log of ${name}`}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          setFollow(scrollTop + clientHeight >= scrollHeight - 24)
        }
      >
        {text === undefined ? 'Reading ...' : text === '' ? 'Nothing was logged yet.' : <Lines text={text} />}
      </pre>
    </section>
  );
}

/** Warnings and errors stand out. */
function Lines({ text }: { readonly text: string }) {
  return (
    <>
      {text.split(/^(?=.* (?:WARN|ERROR) )|(?<=^.* (?:WARN|ERROR) .*\n)/m).map((part, i) => {
        const level = /^\S+ (WARN|ERROR) /.exec(part)?.[1];
        return level === undefined ? (
          part
        ) : (
          <mark class={level.toLowerCase()} key={i}>
            {part}
          </mark>
        );
      })}
    </>
  );
}
