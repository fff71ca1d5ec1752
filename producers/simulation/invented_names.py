"""Invented names of songs and artists, made of a few hundred words."""

from random import Random

_ADJECTIVES = (
    "Amber Ancient Borrowed Broken Burning Careless Cobalt Copper Crooked Crystal Distant Drifting Electric Empty "
    "Endless Faded Fallen Feral Frozen Gentle Ghostly Gilded Golden Hidden Hollow Honest Idle Invisible Iron Ivory "
    "Lonely Lunar Magnetic Midnight Nameless Neon Northern Open Paper Patient Pale Quiet Restless Rising Rusty "
    "Sacred Scarlet Secret Silent Silver Sleepless Slow Southern Stolen Sudden Sunken Tender Thirsty Velvet Violet "
    "Wandering Wild Winter Wooden Young"
).split()
_NOUNS = (
    "Anchor Arcade Avenue Balcony Bridge Carnival Cathedral Circus Coast Comet Compass Corridor Desert Dream Echo "
    "Ember Engine Ferry Field Fire Forest Fountain Garden Gravity Harbour Heart Highway Horizon Hour House Island "
    "Kingdom Ladder Lantern Letter Lighthouse Machine Market Meadow Memory Meridian Mirror Moon Mountain Ocean "
    "Orchard Orbit Parade Promise Radio Rain River Room Satellite Season Shadow Signal Sky Snow Station Stone Storm "
    "Story Street Summer Sunday Tide Tower Train Valley Voice Water Window Wire"
).split()
_CREATURES = (
    "Badgers Bears Cranes Crows Deer Dolphins Falcons Foxes Geese Herons Hounds Jackals Larks Lions Lynxes Moths "
    "Otters Owls Pilots Poets Ravens Sailors Sisters Sparrows Spiders Strangers Swans Tigers Travellers Whales "
    "Wolves Wrens"
).split()
_FIRST = (
    "Ada Aiko Amara Ana Arjun Ayo Bea Bruno Carla Chidi Dario Dina Elif Emil Eva Farah Felix Gia Hana Hugo Ines "
    "Iris Ivo Jonas Juno Kai Kemi Lars Lea Leo Lina Luz Maya Mika Milo Nadia Nia Noor Olga Omar Priya Rafa Rosa "
    "Sana Sol Tara Teo Uma Vera Yuki Zara Zoe"
).split()
_LAST = (
    "Abara Almeida Baptiste Berg Castell Daly Eriksen Farrow Fontaine Greene Hale Ikeda Iyer Jansen Kowal Lindqvist "
    "Marlow Mendes Moreau Nakata Novak Okafor Ortega Pereira Quist Rao Rivera Sato Silva Sorel Tanaka Torres Vance "
    "Vidal Weiss Winter Yilmaz Zeller"
).split()


def artist_name(random: Random) -> str:
    """The name of a band ("The Pale Herons") or a person ("Noor Vidal")."""
    if random.random() < 0.5:
        return f"The {random.choice(_ADJECTIVES)} {random.choice(_CREATURES)}"
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"


def song_title(random: Random) -> str:
    """A title such as "Velvet Horizon", "Letter to the River", "The Hour"."""
    adjective, noun, other = random.choice(_ADJECTIVES), random.choice(_NOUNS), random.choice(_NOUNS)
    return random.choice(
        (
            f"{adjective} {noun}",
            f"{noun} of {_plural(other)}" if noun != other else f"The {noun}",
            f"{noun} to the {other}",
            f"The {adjective} {noun}",
            f"{adjective} {noun}, {adjective} {other}" if noun != other else f"{adjective} {noun}",
            f"{random.choice(_FIRST)}'s {noun}",
            f"{noun}",
        )
    )


def _plural(noun: str) -> str:
    if noun.endswith("s") or noun == "Echo":
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeo":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
