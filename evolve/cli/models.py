"""`evolve models`: what is configured, what it costs, and whether it answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.config.models import ModelConfig
    from evolve.engine.models import ModelFacts
    from evolve.engine.pings import Pinged


def models(
    config: str = typer.Argument(
        "",
        help="Configuration file, the name of a bundled one, or a problem; default: only --model.",
    ),
    model: list[str] = typer.Option(
        [], "--model", metavar="MODEL", help="Also this model, such as openai/NAME."
    ),
    settings: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Override a key of the configuration."
    ),
    ping: bool = typer.Option(
        False,
        "--ping",
        help="Ask each model for one word: this calls it, and may cost a little. The calls are "
        "committed to the database as a run of kind 'probe'.",
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """List models: server, API, whether the key's variable is set, price, limits.

    Keys are never read out. The exit code is 3 when a key is missing or a ping fails.

    JSON: a list of {id, api, server, key_env, key, price {source, price}, max_tokens, concurrency,
    timeout_s, retries, vision, ping {run_id, model, finish, latency_s, tokens_input,
    tokens_output, cost_usd, error}}.

    Example: evolve models --model openai/NAME --ping
    """
    from evolve.engine.models import list_models

    configs, folder = _configured(config, settings, model)
    found = list_models(configs, folder, db if ping else None)
    if json:
        render.echo_json([each.as_dict() for each in found])
    else:
        _print(found)
    if any(each.key is False or (each.ping and each.ping.error) for each in found):
        raise typer.Exit(3)


def _configured(
    config: str, settings: list[str], names: list[str]
) -> tuple[list[ModelConfig], Path]:
    from evolve.cli.run import from_here, load
    from evolve.config.models import ModelConfig
    from evolve.core.errors import ConfigError

    configs: list[ModelConfig] = []
    folder = Path.cwd()
    if config:
        loaded = load(config, settings)
        configs, folder = list(loaded.config.models), loaded.folder
    known = {each.id for each in configs}
    configs += [ModelConfig(id=from_here(name)) for name in names if name not in known]
    if not configs:
        what = f"{config} configures no model" if config else "name a configuration"
        raise ConfigError(f"{what}; or name a model: evolve models --model openai/NAME")
    return configs, folder


def _print(found: list[ModelFacts]) -> None:
    from evolve.cli.spending import price_text

    out = render.console()
    for each in found:
        server = {"vendor": " at the vendor", "none": ""}.get(each.server, f" at {each.server}")
        state = {None: "none needed", True: f"{each.key_env} is set"}
        longest = "" if each.api == "embeddings" else f"{each.max_tokens} tokens a reply, "
        lines = [
            f"{each.id}: {each.api}{server}",
            f"  key: {state.get(each.key, f'{each.key_env} is NOT SET')}",
            f"  price: {price_text(each.price)}",
            f"  limits: {each.concurrency} calls at once, {longest}"
            f"{each.timeout_s:g} s, {each.retries} retries{', is shown pictures' * each.vision}",
        ]
        if each.ping is not None:
            lines.append(f"  ping: {_said(each.ping)}")
        for line in lines:
            out.print(line, markup=False, soft_wrap=True)
    for run_id in {each.ping.run_id for each in found if each.ping and each.ping.run_id}:
        out.print(f"the calls are committed: `evolve show {run_id}` says what they cost")


def _said(ping: Pinged) -> str:
    if ping.error:
        return f"FAILED: {ping.error}"
    cost = "unknown cost" if ping.cost_usd is None else f"${ping.cost_usd:.6f}"
    name = f"{ping.model} answered" if ping.model else "answered"
    return (
        f"{name} ({ping.finish}) in {ping.latency_s:.1f} s, {ping.tokens_input} tokens in, "
        f"{ping.tokens_output} out, {cost}"
    )
