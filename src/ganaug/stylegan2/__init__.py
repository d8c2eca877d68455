"""StyleGAN2-ADA in plain PyTorch, written from the papers; knows nothing of X-rays.

Karras et al. 2019, "A style-based generator architecture for generative adversarial networks" (StyleGAN);
Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN" (StyleGAN2);
Karras et al. 2020, "Training generative adversarial networks with limited data" (ADA).
"""
