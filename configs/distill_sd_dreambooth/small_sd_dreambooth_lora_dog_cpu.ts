// small_sd_dreambooth_lora_dog for a computer without a GPU.
import { defineConfig } from 'diffengine';
import cpu from 'diffengine/configs/_base_/datasets/dog_dreambooth_cpu';
import dog from 'diffengine/configs/distill_sd_dreambooth/small_sd_dreambooth_lora_dog';

export default defineConfig({ ...cpu, _base_: dog });
