"""The networks: SAM backbones, LoRA, the saliency head, prompt distillation, SPD itself, and the U-Net."""
