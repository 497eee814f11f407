"""CSV, Parquet and Avro files as sources.

``file_source`` is the entrance, ``formats`` chooses among ``csv_file``, ``parquet_file`` and
``avro_file``, each of which plans slices and reads one (``file_format``); ``opening`` and
``compression`` open them, ``lookup_file`` reads the files of maps.
"""
