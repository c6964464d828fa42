"""A profile that follows a person: new events, edits, earlier times, and forgetting."""

from llmrec import Event, Item, Recommender

items = [
    Item(id="alien", title="Alien", domain="films", categories=("Horror",)),
    Item(id="shining", title="The Shining", domain="films", categories=("Horror",)),
    Item(id="roma", title="Roma", domain="films", categories=("Drama",)),
    Item(id="plenty", title="Plenty", domain="books", categories=("Cookbooks",)),
]
events = [
    Event(user_id="ana", action="like", item_id="alien", timestamp="2026-01-10"),
    Event(user_id="ana", action="like", item_id="shining", timestamp="2026-01-17"),
    Event(user_id="ana", action="like", item_id="roma", timestamp="2026-02-01"),
]
later = [
    Event(user_id="ana", action="say", text="no more horror films, please", timestamp="2026-05-01"),
    Event(user_id="ana", action="purchase", item_id="plenty", timestamp="2026-05-03"),
]

with Recommender("embedded", items) as recommender:
    profile = recommender.profile(events)
    profile = recommender.update(profile, later)  # reads the new events alone
    print(profile.tree())
    print("ended:", [interest.id for interest in profile.ended])

    profile = recommender.edit(profile, {"kind": "add", "label": "Jazz"})
    new_name = {"kind": "rename", "interest": "Films › Drama", "label": "Quiet films"}
    profile = recommender.edit(profile, new_name)
    profile = recommender.undo(profile)  # takes the new name back

    then = profile.at("2026-03-01")
    print(then.diff(profile).text())

    report = recommender.forget(profile, interest="Films › Horror")
    # What is left is report.profile; the profile before still holds what was forgotten.
    print(f"forgotten: {report.forgotten.events} events, traces left: {list(report.forgotten.traces)}")
