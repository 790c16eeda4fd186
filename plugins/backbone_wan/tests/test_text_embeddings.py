"""Facts about prompts: how they are cleaned, and that each is encoded once in a machine's life."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.text_embeddings import LENGTH, clean, embed, embeddings, keep_embeddings
from ex4d_core.errors import OutputFailed

pytest.importorskip("transformers")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tiny_wan):
    from ex4d_backbone_wan.options import WanOptions
    from ex4d_backbone_wan.weights import locate
    from ex4d_backbone_wan.weights.loading import load_text_encoder

    options = WanOptions(model=str(tiny_wan), adapter="none")
    return load_text_encoder(locate(options), device=CPU, dtype=torch.float32)


@pytest.fixture
def embedded(encoder, tmp_path):
    """Embed prompts, and count how often the encoder was loaded."""

    class Embedded:
        loads = 0

        def __call__(self, *prompts, identity="weights"):
            return embeddings(
                prompts, load=self.load, device=CPU, identity=identity, dtype=torch.float32, folder=tmp_path / "prompts"
            )

        def load(self):
            self.loads += 1
            return encoder

    return Embedded()


def test_prompts_are_mended_and_runs_of_space_become_one_blank():
    assert clean("  a\tred \n ball ") == "a red ball"
    assert clean("caf&amp;eacute; &lt;b&gt;") == "café <b>"
    assert clean("schÃ¶n, rot\uff0cblau") == "schön, rot,blau"


def test_an_embedding_has_512_tokens_that_are_0_after_the_last(embedded, encoder):
    (whole,) = embedded("a red ball")
    assert whole.shape == (1, LENGTH, 32)
    assert (whole[0, 4:] == 0).all()
    assert whole[0, :4].abs().min(dim=-1).values.max() > 0
    torch.testing.assert_close(whole[0, :4], embed(encoder, "a red ball", device=CPU))


def test_words_after_the_last_change_nothing_that_they_should_not(embedded):
    red, blue = embedded("a red ball", "a blue ball")
    assert not torch.allclose(red, blue, atol=1e-4)


def test_a_prompt_of_more_than_512_tokens_is_cut_off(embedded):
    (whole,) = embedded("ball " * 600)
    assert whole.shape == (1, LENGTH, 32)
    assert (whole != 0).any(dim=-1).all()


def test_a_prompt_is_encoded_once_and_the_encoder_is_loaded_once_for_all(embedded):
    first = embedded("a red ball", "blue")
    again = embedded("blue", " a  red ball")
    assert embedded.loads == 1
    assert torch.equal(first[0], again[1])
    assert torch.equal(first[1], again[0])


def test_other_weights_have_other_embeddings(embedded):
    embedded("blue", identity="one")
    embedded("blue", identity="two")
    assert embedded.loads == 2


def test_a_damaged_file_is_made_again(embedded, tmp_path):
    (first,) = embedded("blue")
    (file,) = (tmp_path / "prompts").iterdir()
    file.write_bytes(b"not tensors")
    (again,) = embedded("blue")
    assert embedded.loads == 2
    assert torch.equal(first, again)


def test_where_nothing_can_be_kept_prompts_are_encoded_all_the_same(embedded, tmp_path):
    (tmp_path / "prompts").write_text("a file where the folder would be")
    (whole,) = embedded("blue")
    assert whole.shape == (1, LENGTH, 32)


def keep(embedded, folder, *prompts, **given):
    keep_embeddings(
        prompts, load=embedded.load, device=CPU, identity="weights", dtype=torch.float32, folder=folder, **given
    )


def test_many_embeddings_are_kept_for_later_by_one_encoder(embedded, tmp_path):
    told = []
    keep(embedded, tmp_path / "prompts", "a red ball", "blue", " a red  ball")
    keep(embedded, tmp_path / "prompts", "blue", "ball", progress=lambda done, total: told.append((done, total)))
    assert (embedded.loads, told) == (2, [(0, 1), (1, 1)])
    embedded("a red ball", "blue", "ball")
    assert embedded.loads == 2


def test_what_must_be_kept_and_cannot_be_is_an_error(embedded, tmp_path):
    (tmp_path / "prompts").write_text("a file where the folder would be")
    with pytest.raises(OutputFailed, match="cannot be written"):
        keep(embedded, tmp_path / "prompts", "blue")


def test_without_a_cache_prompts_are_encoded_each_time(embedded, encoder):
    settings = {"load": embedded.load, "device": CPU, "identity": "weights", "dtype": torch.float32, "folder": None}
    first, again = (embeddings(["blue"], **settings)[0] for _ in range(2))
    assert (embedded.loads, torch.equal(first, again)) == (2, True)
