"""The configuration as frozen values, one module per feature (spec: model.md). `Config` is the root."""

from appliance_state.model.config import Config

__all__ = ["Config"]
