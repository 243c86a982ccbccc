"""The command line of `fleet bench`. What it does is imported when it is called."""

from typing import Annotated

import typer

Upstream = Annotated[
    str | None, typer.Option(help="A model server; by default that of the fleet's first model.")
]
Api = Annotated[str | None, typer.Option(help="Address of the API, if not the one running here.")]
Stub = Annotated[bool, typer.Option("--stub", help="With our own stub as the model server.")]
Start = Annotated[bool, typer.Option("--start", help="Start a fleet for this alone, and end it.")]
Slots = Annotated[int | None, typer.Option(min=1, help="Streams at once in the started worker.")]
Streams = Annotated[str, typer.Option(help="Levels: so many streams at once, on average.")]
Tokens = Annotated[int, typer.Option(min=1, help="Tokens of one reply.")]
Tps = Annotated[float, typer.Option(min=0, help="Tokens per second that the stub gives; 0: all.")]
TtftMs = Annotated[float, typer.Option(min=0, help="The stub's time to its first token.")]
Requests = Annotated[
    int | None, typer.Option(min=1, help="Requests each way at each level; by default 15 a stream.")
]
Rounds = Annotated[int, typer.Option(min=1, help="Both ways in turn, so many times.")]
Real = Annotated[bool, typer.Option("--real", help="The server has a real model.")]
Closed = Annotated[
    bool, typer.Option("--closed", help="Each stream's next request when its last has ended.")
]
Throughput = Annotated[
    bool, typer.Option("--throughput", help="Also one-token jobs and tokens per second.")
]
Followers = Annotated[
    int, typer.Option(min=0, help="What so many idle readers cost, instead of both ways.")
]
Waits = Annotated[
    bool, typer.Option("--waits", help="Whether predicted waits come true, instead of both ways.")
]
Seconds = Annotated[float, typer.Option(min=0.1, help="Length of each throughput measurement.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]


def bench(
    upstream: Upstream = None,
    api: Api = None,
    stub: Stub = False,
    start: Start = False,
    slots: Slots = None,
    streams: Streams = "8,32",
    tokens: Tokens = 50,
    tps: Tps = 50.0,
    ttft_ms: TtftMs = 20.0,
    requests: Requests = None,
    rounds: Rounds = 3,
    real: Real = False,
    closed: Closed = False,
    throughput: Throughput = False,
    seconds: Seconds = 5.0,
    followers: Followers = 0,
    waits: Waits = False,
    as_json: Json = False,
) -> None:
    """Measure what the fleet adds to its model server: the same load both ways, in turn."""
    from cli.bench.load import levels
    from cli.bench.run import Wanted, run

    try:
        counts = tuple(levels(streams))
    except ValueError:
        raise typer.BadParameter("numbers from 1, such as `8,32`", param_hint="--streams") from None
    wanted = Wanted(
        upstream=upstream.rstrip("/") if upstream else None,
        api=api,
        stub=stub,
        start=start,
        slots=slots,
        streams=counts,
        tokens=tokens,
        tps=tps,
        ttft_ms=ttft_ms,
        requests=requests,
        rounds=rounds,
        real=real,
        closed=closed,
        throughput=throughput,
        seconds=seconds,
        followers=followers,
        waits=waits,
    )
    raise typer.Exit(run(wanted, as_json))
