"""All recipes by name."""

from __future__ import annotations

from training.recipe import Recipe
from training.recipe_colorize import COLORIZE_RECIPE
from training.recipe_colors import COLORS_RECIPE
from training.recipe_deblur import DEBLUR_RECIPE
from training.recipe_denoise import DENOISE_RECIPE
from training.recipe_faces import FACE_RECIPE
from training.recipe_inpaint import INPAINT_RECIPE
from training.recipe_scratches import SCRATCH_RECIPE
from training.recipe_upscale import UPSCALE_REAL_RECIPE, UPSCALE_X2_RECIPE, UPSCALE_X4_RECIPE

RECIPES: dict[str, Recipe] = {
    "upscale_real_x4": UPSCALE_REAL_RECIPE,
    "upscale_x4": UPSCALE_X4_RECIPE,
    "upscale_x2": UPSCALE_X2_RECIPE,
    "denoise": DENOISE_RECIPE,
    "deblur": DEBLUR_RECIPE,
    "faces": FACE_RECIPE,
    "scratches": SCRATCH_RECIPE,
    "inpaint": INPAINT_RECIPE,
    "colorize": COLORIZE_RECIPE,
    "colors": COLORS_RECIPE,
}
