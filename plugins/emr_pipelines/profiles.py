"""Profiles as files write them: over the profile that each extends and the presets that it takes, then as its target's model."""

from __future__ import annotations

import re

from emr_pipelines.documents import Part, shown
from emr_pipelines.errors import suggestion
from emr_pipelines.targets import profile_model, target_names
from emr_pipelines.targets.profile import Profile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NOT_IN_A_PRESET = ("target", "extends", "presets", "name", "overrides")


def profile_of(part: Part, name: str, logs: str) -> Profile:
    """Return the profile that settings mean; its logs go to a bucket of that name, unless it says where.

    :raises ConfigurationError: its target's model does not take them.
    """
    part.require(
        _NAME.fullmatch(name),
        (),
        f"{part.name!r}: a profile is named with 1 to 64 letters, digits, dots, hyphens and underscores: give it such a name",
    )
    target = part.settings.get("target")
    part.require(
        isinstance(target, str) and target in target_names(),
        ("target",),
        f"{part.name}.target: {shown(target)} is no target{suggestion(str(target), target_names())}: write one of "
        f"{', '.join(target_names())}",
    )
    for reserved in ("name", "overrides"):
        part.require(
            reserved not in part.settings,
            (reserved,),
            f"{part.name}: there is no such setting: {reserved!r}: leave it out",
        )
    more = {} if "log_uri" in part.settings else {"log_uri": f"s3://{logs}/elasticmapreduce/"}
    return part.model(profile_model(str(target)), name=name, **more)


def profile_part(document: Part, name: str, heirs: tuple[str, ...] = ()) -> Part:
    """Return a profile's settings over its presets, the later over the earlier, over those of the profile that it extends.

    :raises ConfigurationError: there is no such profile or preset, or a profile extends itself.
    """
    profiles = document.settings["profiles"]
    part = document.part("profiles", name)
    part.require(part.settings, (), f"{part.name}: settings are needed here, as name: value")
    part.require(
        name not in heirs,
        (),
        f"{part.name}: extends itself through {' -> '.join((*heirs, name))}: take one extends out",
    )
    parent, presets = part.settings.get("extends"), part.settings.get("presets", [])
    part.require(
        parent is None or (isinstance(parent, str) and parent in profiles),
        ("extends",),
        f"{part.name}.extends: there is no profile {shown(parent)}{suggestion(str(parent), profiles)}; there are: {', '.join(profiles)}",
    )
    part.require(
        isinstance(presets, list), ("presets",), f"{part.name}.presets: write a list, such as [adaptive, kryo]"
    )
    pieces = [profile_part(document, parent, (*heirs, name))] if parent is not None else []
    pieces += [_preset(document, part, str(preset)) for preset in presets]
    settings = pieces.pop(0) if pieces else None
    for piece in (*pieces, part.without("extends", "presets")):
        settings = piece.over(settings) if settings else piece
    return settings or part


def _preset(document: Part, part: Part, preset: str) -> Part:
    known = document.part("presets").settings
    part.require(
        preset in known,
        ("presets",),
        f"{part.name}.presets: there is no preset {preset!r}{suggestion(preset, known)}; there are: {', '.join(known) or 'none'}",
    )
    piece = document.part("presets", preset)
    for reserved in _NOT_IN_A_PRESET:
        piece.require(
            reserved not in piece.settings, (reserved,), f"{piece.name}: a preset has no {reserved}: leave it out"
        )
    return piece
