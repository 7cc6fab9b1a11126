"""Parts shared by the techniques that train: fine-tuning, distillation, masks, selection of layers."""
