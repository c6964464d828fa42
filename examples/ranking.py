"""Rank with an interaction log, bounds and wishes; know the price beforehand; measure what it is worth."""

import json
import tempfile
from pathlib import Path

from llmrec import Event, InteractionLog, Item, Recommender
from llmrec.evaluation import DataSource, ProtocolOptions, RecommenderSystem, evaluate

KINDS = {
    "tea": ("Green tea", "Clay teapot", "Tea strainer", "Oolong tea", "Tea tray"),
    "ink": ("Ink stone", "Wolf hair brush", "Rice paper", "Red seal ink", "Brush rest"),
    "hike": ("Trail map", "Hiking boots", "Rain jacket", "Camping stove", "Head lamp"),
}
items = [
    Item(id=f"{kind}{at}", title=title, domain="shop", attributes={"price": str(10 + 5 * at)})
    for kind, titles in KINDS.items()
    for at, title in enumerate(titles)
]
# What many people bought, in order: each buys things of one kind.
bought = {
    f"u{at}": [f"{kind}{(at + step) % 5}" for step in range(4)] for at, kind in enumerate(list(KINDS) * 10)
}
events = [Event(user_id="ana", action="purchase", item_id=item_id) for item_id in ("tea1", "hike0")]

with Recommender("embedded", items, log=InteractionLog(bought)) as recommender:
    profile = recommender.profile(events)
    cost = recommender.ranking_cost(profile, strategy="pairwise")
    print(f"pairwise would take {cost.calls} calls at most; the likelihood ratio takes 2")

    wishes = {"diversity": 0.3, "filters": ["price<30"]}
    ranking = recommender.recommend(profile, k=3, budget={"calls": 2}, reordering=wishes)
    for placed in ranking:
        print(f"{placed.rank}. {placed.item.title} ({placed.probability:.0%}): {placed.why}")
    print("failed:", [failure.what for failure in ranking.failures])

# The same ranking measured: everybody's last purchase is hidden among nine items they did not buy. The file
# with the purchases is read by a process of its own; what ranks here never sees what is hidden.
with tempfile.TemporaryDirectory() as folder:
    log, catalog = Path(folder) / "log.jsonl", Path(folder) / "items.jsonl"
    rows = [
        {"user_id": person, "item_id": item_id, "action": "purchase", "timestamp": 1_700_000_000 + at}
        for person, sequence in bought.items()
        for at, item_id in enumerate(sequence)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    catalog.write_text("".join(item.model_dump_json() + "\n" for item in items), "utf-8")
    with Recommender("embedded", items, labelled_by_model=0, ranking_strategy="none") as recommender:
        result = evaluate(
            DataSource(path=log, catalog=catalog),
            systems=[RecommenderSystem(recommender, name="words-and-meaning")],
            options=ProtocolOptions(count=9),
        )
for system in result.systems:
    ndcg = system.metrics["ndcg@10"]
    print(f"{system.name}: NDCG@10 {ndcg.mean:.2f} ({ndcg.low:.2f} to {ndcg.high:.2f})")
