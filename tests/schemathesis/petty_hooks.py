"""What schemathesis has to know of Petty: who calls, what is there to be called about, and what its document does not say."""

import atexit
import collections
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.specs.openapi.checks import RejectedPositiveData

URL = os.environ["PETTY_URL"].rstrip("/")
PASSWORD = "correct horse battery staple"


def call(method, path, body=None, token=None):
    request = urllib.request.Request(URL + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class World:
    """An account with a pet, a collar and a little of everything, so that not every answer is 404."""

    def __init__(self):
        self.email = f"schemathesis-{random.SystemRandom().randrange(10**12)}@example.com"
        tokens = call("POST", "/v1/auth/signup", {"email": self.email, "password": PASSWORD})
        token = tokens["access_token"]
        pet = call("POST", "/v1/pets", {"name": "Rex", "species": "DOG", "birth_date": "2022-05-04"}, token)
        collar = f"ST-{random.SystemRandom().randrange(10**9)}"
        call("POST", f"/v1/pets/{pet['pet_id']}/collars", {"collar_id": collar}, token)
        food = call("POST", "/v1/foods", {"name": "Chicken", "kind": "DRY", "label_kcal_per_100g": 372}, token)
        zone = {"name": "Home", "circle": {"center": {"latitude": 52.5, "longitude": 13.4}, "radius_m": 100}}
        zone = call("POST", f"/v1/pets/{pet['pet_id']}/safe-zones", zone, token)
        self.known = {
            "pet_id": pet["pet_id"],
            "collar_id": collar,
            "food_id": food["food_id"],
            "zone_id": zone["zone_id"],
        }

    def log_in(self):
        """With patience: others who fail to from this address hold it up."""
        while True:
            try:
                return call("POST", "/v1/auth/login", {"email": self.email, "password": PASSWORD})["access_token"]
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(int(error.headers["retry-after"]))


WORLD = World()
# What would leave nothing for the others to be tried on.
ENDS = {"deletePet", "unpairCollar", "deleteFood", "deleteSafeZone"}


@schemathesis.auth(refresh_interval=300).skip_for(path="/v1/auth/logout")
class Token:
    def get(self, case, context):
        return WORLD.log_in()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth(refresh_interval=None).apply_to(path="/v1/auth/logout")
class Ended(Token):
    """Each call ends the session of its token, so each has one of its own."""


# What the document does not say of a request: each the whole reason of a refusal, and why. Those of the first list no JSON schema
# can say; those of the second one could, at a price. Reasons that excused nothing are told at the end.
NOT_IN_A_SCHEMA = {
    r"must be next_page_token of the page before, of the same list": "tokens are the server's own",
    r"must( not)? be in the future( by more than 1 h)?": "bounds that move with the clock",
    r"must be at most \w+ back; the server's time is \S+": "so does this",
    r"must be at most \w+ ahead of the server, whose time is \S+": "and this",
    r"must be at most \d+ (days|years) (back|ahead)": "and this",
    r"must be a day that has begun somewhere": "and this",
    r"must be before end_time|must not be after end_time|must be after the pairing's start": "one's bound is another's value",
    r"must be absent where the verdict is CORRECT": "what may be there is another's value",
    r"is required where the label states no energy": "what must be there too",
    r"is required where there is no analysis \(protein, fat and moisture\)": "and this",
    r"must be WORKING or absent for a dog that works": "and this",
    r"a neutered pet cannot carry young": "what is known of the pet already",
    r"must be an IANA time zone, for example Europe/Berlin": "a list that grows without us",
    r"must be the name of a behaviour, for example \"Deep Sleep\"": "names in any case and spelling",
    r"must be Deep Sleep, Resting, Walking, Running, Playing Fetch or Anxious Pacing": "the same",
    r"is among the first that anybody would try; choose one that is harder to guess": "a judgement",
    r"two that follow each other are the same|must be at most 100 km apart": "geometry",
    r"with the other parts makes \d+\.\d percent: more than 100": "a sum",
    r"must be scopes separated by spaces: .+": "a list in a string",
}
NOT_IN_THE_DOCUMENT = {
    r"must hold no control characters": "a pattern could, beside each name there is",
    r"must be 1 to \d+ characters, a letter among them": "a pattern could, of letters of all scripts, which not every engine reads",
    r"must be six digits, or a recovery code of 24 characters": "a pattern could, with spaces and hyphens anywhere",
    r"must be there with the other": "dependentRequired could",
    r"at least one of heart_rate, activity_level, .+ is required": "anyOf could, of seven",
    r"longitude, the first, must be -180 to 180|latitude, the second, must be -90 to 90": "prefixItems could, beside the list's own",
}
EXCUSES = [*NOT_IN_A_SCHEMA, *NOT_IN_THE_DOCUMENT]
USED = collections.Counter()


def is_excused(reason):
    """Whether one of the reasons above is all that is said."""
    for excuse in EXCUSES:
        if re.fullmatch(excuse, reason, re.DOTALL):
            USED[excuse] += 1
            return True
    return False


@atexit.register
def tell_idle():
    """Which reasons excused nothing in this run: of a whole one, an excuse that is needed no more, or one of a rare draw."""
    for excuse in EXCUSES:
        if not USED[excuse]:
            print(f"excused nothing: {excuse}", file=sys.stderr)


def is_blank(body, field):
    value = body.get(field) if isinstance(body, dict) else None
    return isinstance(value, str) and not value.strip()


def no_schema_says(problem, body):
    """Whether a refusal is for reasons alone that the document does not say, or because of what was sent before."""
    if problem.get("code") == "IDEMPOTENCY_KEY_REUSED":
        return True
    errors = problem.get("errors", [])
    return bool(errors) and all(
        is_excused(error["reason"])
        # Text that is nothing but space is none; a pattern could say so, beside each name there is.
        or (error["reason"] == "is required" and is_blank(body, error["field"]))
        # One without the other; dependentRequired could say so.
        or (error["reason"] == "is required" and error["field"] in ("quiet_start", "quiet_end"))
        for error in errors
    )


def _with_known(context, values):
    name = context.operation.definition.raw.get("operationId")
    if not values or name in ENDS or random.random() < 0.3:
        return values
    return {key: WORLD.known.get(key, value) for key, value in values.items()}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Mostly ids that exist."""
    return _with_known(context, path_parameters)


@schemathesis.serializer("application/x-ndjson", "application/ndjson")
def lines(context, value):
    """Lines are sent as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value).encode()


def _camel(name):
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


class Reader:
    """Reads a body as proto3 JSON does: either spelling of a name, numbers in strings, enum values by number, null as absent."""

    def __init__(self, document):
        self.document = document

    def resolve(self, schema):
        while "$ref" in schema:
            found = self.document
            for part in schema["$ref"].lstrip("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**found, **rest}
        return schema

    def read(self, value, schema):
        schema = self.resolve(schema)
        kind = schema.get("type")
        if kind == "object" and isinstance(value, dict):
            names = {}
            for name in schema.get("properties", {}):
                names[name] = names[_camel(name)] = name
            read = {}
            for name, member in value.items():
                known = names.get(name)
                if known is None:
                    if "additionalProperties" in schema or member is not None:
                        read[name] = member
                elif member is not None:
                    read[known] = self.read(member, schema["properties"][known])
            return read
        if kind == "array" and isinstance(value, list):
            return [self.read(element, schema.get("items", {})) for element in value]
        if kind in ("integer", "number") and isinstance(value, str):
            try:
                return int(value) if kind == "integer" else float(value)
            except ValueError:
                return value
        if "enum" in schema and isinstance(value, int) and not isinstance(value, bool):
            values = schema["enum"]
            return values[value] if 0 <= value < len(values) else value
        return value

    def fits(self, value, schema):
        read = self.read(value, schema)
        whole = {"components": self.document["components"], "allOf": [schema]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(read)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is right though no JSON schema says so."""
    if isinstance(failure, RejectedPositiveData):
        return not (response.status_code in (400, 422) and no_schema_says(response.json(), case.body))
    if isinstance(failure, AcceptedNegativeData):
        name = case.operation.definition.raw["operationId"]
        if name == "streamTimeline" and "Last-Event-ID" in (case.headers or {}):
            # The header wins over the parameter.
            return False
        if name == "ingestReadings" and response.json().get("rejected"):
            # Each reading stands alone: a bad one is refused in the answer.
            return False
        content = case.operation.definition.raw.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is not None and isinstance(case.body, dict):
            reader = Reader(case.operation.schema.raw_schema)
            return not reader.fits(case.body, schema)
    return True
