// Goes on where toyland_teacher_refine ends, on more drawings:
//   diffengine export-pipeline work_dirs/toyland_teacher_refine --out work_dirs/toyland_teacher_refined --dtype float16
import { defineConfig } from 'diffengine';
import refine from 'diffengine/configs/toyland/toyland_teacher_refine';

export default defineConfig({
  _base_: refine,
  model: { model: 'work_dirs/toyland_teacher_refined' },
  train_dataloader: { dataset: { num_images: 40_000 } },
  train_cfg: { max_iters: 2400 },
  randomness: { seed: 1 },
});
