"""In the place of jsonschema's module, which imports dates, addresses and UUIDs: our schemas check no formats."""


class FormatChecker:
    """Checks no format."""


draft3_format_checker = FormatChecker()
draft4_format_checker = FormatChecker()
draft6_format_checker = FormatChecker()
draft7_format_checker = FormatChecker()
draft201909_format_checker = FormatChecker()
draft202012_format_checker = FormatChecker()
_draft_checkers: "dict[str, list[str]]" = {}
