"""Find components, look at their options, build them, and see what a wrong name says.

Run: python examples/01_build_and_list.py
"""

import torch

import smoothswap

for kind in ("embedder", "generator", "discriminator"):
    for row in smoothswap.available(kind):
        print(f"{row.kind:14} {row.name:16} {row.summary}")

print("\noptions of the preset smooth_unet_64 that differ from smooth_unet:")
plain = {option.name: option.default for option in smoothswap.describe("smooth_unet").options}
for option in smoothswap.describe("smooth_unet_64").options:
    if option.default != plain[option.name]:
        print(f"  {option.name} = {option.default}   ({option.help})")

embedder = smoothswap.build("small_resnet", dim=128).eval()
generator = smoothswap.build("smooth_unet_64", identity_dim=embedder.dim).eval()

faces = torch.rand(2, 3, 64, 64) * 2 - 1  # [B, 3, S, S], RGB, in [-1, 1]
with torch.no_grad():
    identity = embedder(faces)  # [B, D], unit vectors
    swapped = generator(faces, identity.flip(0))  # each face with the identity of the other

print(f"\nidentity vectors {list(identity.shape)}, lengths {identity.norm(dim=1).tolist()}")
print(f"an untrained generator starts as the identity map: it changes pixels by {(swapped - faces).abs().max():.1e}")

try:
    smoothswap.build("smoth_unet")
except smoothswap.SmoothSwapError as error:
    print(f"\n{error}")
