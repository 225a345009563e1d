"""What a program needs in its environment to find a DynamoDB Local as it would find AWS."""

import os
from typing import Final

from tests.servers.dynamodb import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY

# Whatever this machine knows of AWS must not count.
_NOWHERE: Final = os.devnull


def variables(url: str) -> dict[str, str]:
    """Return the environment variables of a program that is to use the server at `url`."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_CONFIG_FILE": _NOWHERE,
        "AWS_SHARED_CREDENTIALS_FILE": _NOWHERE,
        "AWS_EC2_METADATA_DISABLED": "true",
        # The first evaluation of a new process imports boto3, on a machine that is busy testing.
        "FLAGKEEP_DEADLINE": "20",
    }
