"""Turns chance into names that a person can say: of ships' parts and seas."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


FIRST = """amber azure brisk calm clever coastal copper coral daring deep eager early fair fleet
floating gentle golden grand hardy hidden inland iron jolly keen lively lone lucky
mellow misty noble northern nimble open patient placid polished proud quick quiet rapid
restful rolling rustic salty serene silent silver sleek southern steady still stormy
sturdy sunny swift tidal trim upbeat vast western windy wise young""".split()
SECOND = """anchor anvil barge bay beacon berth boom bow breeze bridge bulkhead buoy canal capstan
cargo cleat compass crane current deck delta derrick dinghy dock dolphin ferry fjord
galley gangway gantry gull harbor hatch hawser heron hull inlet island jetty keel knot
lagoon lantern lighthouse lock mast mooring oar osprey pier pilot plank port quay raft
reef rigging rudder sail schooner shoal sloop spar stern strait tide tiller tug vessel
wharf winch yawl""".split()


def random_name(chance: Callable[[int], int]) -> str:
    """Two words, as Docker's names are. ``chance``: a number below the one given."""
    return f"{FIRST[chance(len(FIRST))]}_{SECOND[chance(len(SECOND))]}"
