"""XML files of annotations, read without letting them expand entities: a few bytes of those can fill all memory."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from stal.errors import AnnotationError, DataNotFoundError


def load_xml(path: str | Path) -> Element:
    """Return the root of an XML file.

    Args:
        path: the file.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it cannot be read, is not XML, or has a document type.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such annotation file; check the path")
    try:
        return defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise AnnotationError(
            f"{path}: refused, because it has a document type, which no annotation needs; its entities can fill all "
            f"memory ({error}); get the file from its source"
        ) from error
    except OSError as error:
        raise AnnotationError(f"{path}: the file cannot be read ({error.strerror})") from error
    except (ParseError, ValueError, LookupError) as error:  # the last two: an encoding that is not known or not kept
        raise AnnotationError(f"{path}: not a whole XML file: {error}; export it again") from error
