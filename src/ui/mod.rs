//! Terminal, input, views, widgets, theme. Draws a [`crate::model::Model`]; touches neither `/proc` nor a network socket.
