"""What the backbones share: preprocessing, weight files, and what stands for a frozen one."""
