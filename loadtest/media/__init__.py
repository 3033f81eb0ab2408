"""The media load generator: many rooms of light clients, with real ICE, DTLS and SRTP, and no codecs.

What is sent says when it was sent and by whom, so that what arrives can be checked, packet by packet.
"""
