"""Chinese of what is said of rules: of what they learn, of those that can never fire, and of what they would have done."""

FAULTS = {
    "step must be at most 1h; 0s takes each sample as it comes": "step 不得超过 1h；0s 表示逐个样本判断",
}

PHRASES: dict[str, str] = {}
