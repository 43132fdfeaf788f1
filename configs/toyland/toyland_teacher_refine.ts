// Goes on where toyland_teacher ends, with most weight on the noise levels at which shapes are decided (Min-SNR, arXiv 2303.09556):
//   diffengine export-pipeline work_dirs/toyland_teacher --out work_dirs/toyland_teacher_pipeline
import { defineConfig } from 'diffengine';
import teacher from 'diffengine/configs/toyland/toyland_teacher';

export default defineConfig({
  _base_: teacher,
  model: { model: 'work_dirs/toyland_teacher_pipeline', init: 'copy', loss: { type: 'SNRL2Loss', snr_gamma: 5 } },
  train_cfg: { max_iters: 3000 },
});
