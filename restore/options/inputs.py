"""The types of the options of `Restorer.run`, for editors and type checkers.

Generated from restore/options by `python tools/inputs_types.py`; do not edit it.
"""

from __future__ import annotations

from typing import TypedDict

from restore.options.list_types import Faces, Points, Polygons, Steps
from restore.options.names import (
    ColorizeVariant,
    ColorsVariant,
    CompileBackend,
    FaceDetector,
    FaceModel,
    InpaintVariant,
    OldPhotoVariant,
    OutputFormat,
    RestoreVariant,
    RuntimeProfile,
    StabilityMode,
    UpscaleVariant,
)


class Inputs(TypedDict, total=False):
    """The options of `Restorer.run`, by name; None means "not set".

    Each task uses its own options: docs/inputs.md and `restore upscale --help` list them.
    """

    face_model: FaceModel | None
    """Face restoration network; auto uses the environment variable MODEL_FACE, else codeformer;
    lite needs no download. Default: 'auto'.
    """

    codeformer_fidelity: float | None
    """Fidelity of codeformer to its input: 0 for best quality, 1 for best likeness. A finite number
    from 0 to 1. Default: 0.5.
    """

    face_upscale: float | None
    """Enlarge the result by exactly this factor. A finite number from 1 to 4. Default: 1.0."""

    face_detector: FaceDetector | None
    """Face detector; auto uses retinaface_resnet50, or centerface (needs no download) with the lite
    face network; dlib needs no download either. Default: 'auto'.
    """

    only_center_face: bool | None
    """Restore only the face nearest to the centre of the photo. Default: False."""

    min_face_px: int | None
    """Skip faces whose box has a shorter side than this many pixels. A whole number of at least 0.
    Default: 0.
    """

    keep_color: bool | None
    """Restore only the luminance of faces and keep the colours of the photo; if not set, only for
    grey and single-tone photos.
    """

    has_aligned: bool | None
    """The photo is one face, aligned as in FFHQ: skip face detection. Default: False."""

    background_enhance: bool | None
    """Enhance the background behind the faces with Real-ESRGAN. Default: False."""

    face_enhance: bool | None
    """Restore faces too, as the task enhance does. Default: False."""

    upscale_variant: UpscaleVariant | None
    """Real-ESRGAN network; auto uses the environment variable MODEL_UPSCALE, else x4plus (x2plus
    behind faces); lite and lite_fidelity (for clean photos) need no download. Default: 'auto'.
    """

    scale: float | None
    """Enlarge the result by exactly this factor. A finite number from 1 to 8. Default: 4.0."""

    target_px: int | None
    """Long side of the result in pixels, instead of scale; smaller than the photo, it reduces it
    without the network. A whole number from 16 to 65500.
    """

    target_mp: float | None
    """Megapixels of the result, instead of scale or target_px. A finite number from 0.001 to 100.
    """

    denoise_strength: float | None
    """Denoising by general_x4v3: 0 keeps the grain, 1 removes all noise. A finite number from 0 to
    1. Default: 0.5.
    """

    grain: bool | None
    """Let the lite network add fine grain where a worn photo has lost its texture. Default: False.
    """

    restore_variant: RestoreVariant | None
    """NAFNet network; auto uses the environment variable MODEL_RESTORE, else denoise; lite
    (denoises) and lite_deblur (removes camera shake) need no download. Default: 'auto'.
    """

    colorize_variant: ColorizeVariant | None
    """DDColor network; auto uses the environment variable MODEL_COLORIZE, else modelscope; lite
    needs no download. Default: 'auto'.
    """

    render_factor: int | None
    """Size at which the network sees the photo: 35 is 512 pixels, other values are in proportion,
    from 256 to 1472 pixels. A whole number from 1 to 100. Default: 35.
    """

    colors_variant: ColorsVariant | None
    """Network for faded colours; auto uses the environment variable MODEL_COLORS, else lite, which
    needs no download. Default: 'auto'.
    """

    old_photo_variant: OldPhotoVariant | None
    """Networks for old photos; auto uses the environment variable MODEL_OLD_PHOTO, else v1; lite
    needs no download. Default: 'auto'.
    """

    with_scratch: bool | None
    """Detect scratches and fill them. Default: True."""

    with_face: bool | None
    """Restore faces too. Default: True."""

    scratch_threshold: float | None
    """Pixels with at least this probability of a scratch are filled; 0 marks the whole photo, so
    that nothing is filled. A finite number from 0 to 1. Default: 0.4.
    """

    old_photo_hr: bool | None
    """Fill scratches patch by patch, for large photos, and restore faces at 512 pixels. Default:
    False.
    """

    return_mask: bool | None
    """Return the masks of the detected scratches after the restored photos. Default: False."""

    inpaint_variant: InpaintVariant | None
    """Inpainting network; auto uses the environment variable MODEL_INPAINT, else big (LaMa); lite
    needs no download. Default: 'auto'.
    """

    points: Polygons | None
    """Areas to fill, as JSON: a polygon [[x, y], ...] in pixels of the upright photo, or a list of
    polygons.
    """

    steps: Steps | None
    """Tasks to run in order, separated by commas, such as colorize,face_restore,upscale; auto
    proposes repairs for each photo, auto,colorize also adds colours, and auto,-upscale leaves a
    proposed step out. Default: 'auto'.
    """

    tile_size: int | None
    """Side of a tile in pixels, at least 64 (smaller values are raised to it), or 0 for the whole
    photo at once; if not set, at least 512 for Real-ESRGAN and 0 for all other networks. A whole
    number of at least 0.
    """

    strength: float | None
    """Weight of the result in a blend with the original photo: 1 is the result alone. A finite
    number from 0 to 1. Default: 1.0.
    """

    runtime_profile: RuntimeProfile | None
    """baseline computes as the official implementations do; fast uses lower precision where
    measured, and batches of faces; max_speed also skips face parsing. Default: 'baseline'.
    """

    stability_mode: StabilityMode | None
    """safe never compiles or records; optimized runs copies in a faster memory layout, compiled if
    compile_backend says so. Default: 'safe'.
    """

    compile_backend: CompileBackend | None
    """Compiler of optimized networks, the same for all requests to a server; auto uses the
    environment variable RESTORE_COMPILE_BACKEND, else none. Default: 'auto'.
    """

    output_format: OutputFormat | None
    """File format of the results; png keeps 16 bits, png and webp keep transparency; same is the
    photo's own format, or jpg for HEIC, webp for AVIF, and png for TIFF, BMP and GIF. Default:
    'jpg'.
    """

    output_quality: int | None
    """Compression quality of jpg and webp files. A whole number from 1 to 100. Default: 95."""

    keep_gps: bool | None
    """Keep the GPS position of the photo in the EXIF data of the result. Default: False."""

    harm_check: bool | None
    """Reduce, skip or refuse a step whose result would damage the photo; if false, only warn of it.
    Default: True.
    """

    face_points: Points | None
    """Restore only the faces whose box contains one of these points, as JSON: [[x, y], ...] in
    pixels of the upright photo; if not set or empty, all faces.
    """

    max_megapixels: float | None
    """Reduce photos with more megapixels than this before all steps; photos of up to 120 megapixels
    are accepted then. A finite number from 0.01 to 50.
    """

    record_steps: bool | None
    """Record in the XMP history of the result which steps and networks made it. Default: False."""

    faces: Faces | None
    """Faces to restore: all, largest, center (nearest to the centre of the photo), or numbers such
    as 0,2, counted from left to right as by inspect and in the report. Default: 'all'.
    """

    saturation: float | None
    """Factor of the predicted colours' chroma: 0 is grey, 1 as predicted, 2 twice as colourful;
    lightness and hue are kept. A finite number from 0 to 2. Default: 1.0.
    """
