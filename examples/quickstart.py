"""From what one person did to explained recommendations, with the model that comes along."""

from llmrec import Event, Item, Recommender

items = [
    Item(id="alien", title="Alien", domain="films", categories=("Science fiction", "Horror")),
    Item(id="solaris", title="Solaris", domain="films", categories=("Science fiction", "Drama")),
    Item(id="arrival", title="Arrival", domain="films", categories=("Science fiction", "Drama")),
    Item(id="roma", title="Roma", domain="films", categories=("Drama",)),
    Item(id="heat", title="Heat", domain="films", categories=("Crime", "Thriller")),
    Item(id="dune", title="Dune", domain="books", categories=("Science fiction",)),
    Item(id="plenty", title="Plenty", domain="books", categories=("Cookbooks",)),
]
events = [
    Event(user_id="ana", action="rate", item_id="solaris", value=5, timestamp="2026-01-10"),
    Event(user_id="ana", action="search", text="quiet science fiction", timestamp="2026-02-01"),
    Event(user_id="ana", action="rate", item_id="alien", value=1, timestamp="2026-02-14"),
    Event(user_id="ana", action="say", text="I like cooking, but no horror films, please"),
]

with Recommender("embedded", items) as recommender:
    profile = recommender.profile(events)
    print(profile.tree())

    for placed in recommender.recommend(profile, k=3):
        print(f"{placed.rank}. {placed.item.title}: {placed.why}")

    # The same against candidates of your own choice: ids of the catalogue, or new items.
    stalker = Item(id="stalker", title="Stalker", domain="films", categories=("Science fiction",))
    best = recommender.recommend(profile, candidates=["heat", "plenty", stalker], k=1)[0]
    print(f"Best of three: {best.item.title} ({best.score:+.2f})")
