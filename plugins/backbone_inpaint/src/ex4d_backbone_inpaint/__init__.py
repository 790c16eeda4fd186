"""Preview backbone for ex4d: fills hidden regions without a model."""
