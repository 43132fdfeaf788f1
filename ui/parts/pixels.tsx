/** A picture alone; small ones keep their pixels. */
import type { Picture } from '../../src/runs/run-view.js';
import './pictures.css';

/** Pictures up to this side are scaled by whole pixels, not blurred. */
const SMALL = 256;

export function Pixels({ picture, alt }: { readonly picture: Picture; readonly alt: string }) {
  const { src, width, height } = picture;
  return (
    <img
      src={src}
      alt={alt}
      width={width}
      height={height}
      class={Math.max(width, height) <= SMALL ? 'sharp' : undefined}
      draggable={false}
    />
  );
}
