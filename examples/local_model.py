"""The model and the embedder on their own: scores, answers held to a schema, streaming, cancelling."""

from contextlib import closing

from pydantic import BaseModel, ConfigDict, Field

from llmrec import Cancellation, Message, open_embedder, open_model, stream


class Film(BaseModel):
    """What the model is asked for."""

    # Without this the schema allows more fields, and the model makes some up.
    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=30)
    year: int = Field(ge=1900, le=2030)
    genres: list[str] = Field(min_length=1, max_length=2)


with closing(open_model("embedded")) as model:
    # The prefix is read once, and so is what the continuations share.
    prefix = "A person liked Alien, Solaris and Blade Runner. Next they chose"
    titles = [" Stalker", " The Matrix", " A Kitchen in Provence"]
    for title, score in zip(titles, model.score(prefix, titles), strict=True):
        print(f"{score.logprob:6.1f} nats in {score.tokens} tokens: {title.strip()}")

    question = [Message(role="user", content="Name a science fiction film, as JSON.")]
    answer = model.generate(question, schema=Film.model_json_schema(), max_tokens=100)
    print(Film.model_validate_json(answer.text))

    # Whoever holds the cancellation, in any thread, can end the call.
    cancellation = Cancellation()
    pieces: list[str] = []

    def listen(piece: str) -> None:
        """Take a piece of the answer as it comes."""
        pieces.append(piece)
        if len(pieces) == 5:
            cancellation.cancel()

    ended = model.generate(question, on_text=listen, cancellation=cancellation)
    print(ended.finish_reason, "after", len(pieces), "pieces")

    with stream(model, question, max_tokens=12) as text:
        print("".join(text))

with closing(open_embedder("wordllama")) as embedder:
    film, space, kitchen = embedder.embed(["a science fiction film", "a space movie", "a cookbook"])
    print(f"{film @ space:.2f} and {film @ kitchen:.2f}")
