"""What leaves a supervisor: sentences for people without the secrets it knows of, results as they are."""

import os

from apb_broker.execution import job, masking, supervisor


def test_outbox_masks_sentences_and_leaves_results_alone():
    """Drift and what is out of reach are shown to people; credentials are the broker's, whole."""
    reader, writer = os.pipe()
    outbox = supervisor.Outbox(writer, masking.Masker(["s3cret-of-ours"]))
    published = {"drift": ["is s3cret-of-ours"], "unreachable": "s3cret-of-ours", "credentials": {"password": "s3cret-of-ours"}}
    outbox.outcome(job.Outcome("failed", published=published, message="s3cret-of-ours"))
    os.close(writer)
    with os.fdopen(reader, "rb") as sent:
        found = job.decode_message(sent.read().strip())
    assert found == job.Outcome(
        "failed",
        published={"drift": ["is ********"], "unreachable": "********", "credentials": {"password": "s3cret-of-ours"}},
        message="********",
    )
